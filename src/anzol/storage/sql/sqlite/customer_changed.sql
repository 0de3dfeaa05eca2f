update anzol_customer set name = :name, metadata = :metadata, throttle = :throttle, updated_at = :now where id = :id
