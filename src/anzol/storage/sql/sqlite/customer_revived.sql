update anzol_customer set deleted_at = null, created_at = :now, updated_at = :now where id = :id
