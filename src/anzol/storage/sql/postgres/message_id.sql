select id from anzol.message where id = :id and environment = :environment
