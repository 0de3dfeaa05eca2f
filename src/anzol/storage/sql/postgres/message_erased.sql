update anzol.message set body = null where id = :id and body is not null
