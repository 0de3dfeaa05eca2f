select id from anzol.endpoint where customer_id = :customer_id and deleted_at is null
