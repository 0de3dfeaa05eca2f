delete from anzol_message_key where customer_id = :customer_id
