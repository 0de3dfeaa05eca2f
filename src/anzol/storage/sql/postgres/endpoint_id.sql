select id from anzol.endpoint where id = :id and environment = :environment
