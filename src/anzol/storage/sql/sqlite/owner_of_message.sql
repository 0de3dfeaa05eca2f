select customer_id from anzol_message where id = :id
