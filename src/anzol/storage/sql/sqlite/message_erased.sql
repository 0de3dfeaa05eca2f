update anzol_message set body = null where seq = :seq and body is not null
