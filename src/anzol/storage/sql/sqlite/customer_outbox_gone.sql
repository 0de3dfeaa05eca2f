delete from anzol_accepted where customer_id = :customer_id
