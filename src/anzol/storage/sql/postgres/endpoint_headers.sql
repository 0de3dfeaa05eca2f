select headers from anzol.endpoint where id = :id
