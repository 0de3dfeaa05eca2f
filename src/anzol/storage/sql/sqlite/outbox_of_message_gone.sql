delete from anzol_accepted
 where customer_id = (select customer_id from anzol_message where seq = :message) and message = :message
