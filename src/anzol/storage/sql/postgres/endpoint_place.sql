select id, customer_id from anzol.endpoint where id = :id and environment = :environment and deleted_at is null
