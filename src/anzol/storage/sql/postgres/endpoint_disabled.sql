update anzol.endpoint set disabled = :because, updated_at = :now where id = :id
