select customer_id from anzol.sweep where id = :id
