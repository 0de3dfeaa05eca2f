select id from anzol.message where id = :id and customer_id = :customer_id and environment = :environment
