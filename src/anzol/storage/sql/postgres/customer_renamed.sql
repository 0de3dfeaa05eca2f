update anzol.customer set uid = :uid, updated_at = :now where id = :id
