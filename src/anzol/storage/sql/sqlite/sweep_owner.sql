select customer_id from anzol_sweep where id = :id
