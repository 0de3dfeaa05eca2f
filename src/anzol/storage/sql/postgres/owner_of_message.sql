select customer_id from anzol.message where id = :id
