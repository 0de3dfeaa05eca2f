update anzol.endpoint set updated_at = :now where id = :id
