delete from anzol.message_key where customer_id = :customer_id
