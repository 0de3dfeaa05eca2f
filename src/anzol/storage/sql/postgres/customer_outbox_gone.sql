delete from anzol.accepted where customer_id = :customer_id
