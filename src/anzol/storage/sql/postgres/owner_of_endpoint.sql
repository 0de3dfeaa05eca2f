select customer_id from anzol.endpoint where id = :id
