select message_id from anzol.message_key where customer_id = :customer_id and key = :key
