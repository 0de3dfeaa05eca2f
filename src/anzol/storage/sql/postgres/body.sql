select coalesce(body, '') from anzol.message where id = :id
