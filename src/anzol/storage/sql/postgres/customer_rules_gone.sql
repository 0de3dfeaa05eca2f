delete from anzol.pause_rule where customer_id = :customer_id
