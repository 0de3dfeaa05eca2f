select customer_id from anzol_endpoint where id = :id
