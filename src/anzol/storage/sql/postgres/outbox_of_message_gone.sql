-- Waits for a fan-out that has the message in hands.
delete from anzol.accepted
 where customer_id = (select customer_id from anzol.message where id = :message) and message_id = :message
