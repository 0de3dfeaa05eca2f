-- Fan-out is not to make this delivery a second time. Waits for a fan-out that has the message in hands.
update anzol.accepted set resent = true
 where customer_id = (select customer_id from anzol.message where id = :message) and message_id = :message and not resent
