select 1 from anzol.accepted
 where customer_id = (select customer_id from anzol.message where id = :message) and message_id = :message
