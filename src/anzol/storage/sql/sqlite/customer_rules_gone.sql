delete from anzol_pause_rule where customer_id = :customer_id
