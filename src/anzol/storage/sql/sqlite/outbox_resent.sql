-- Fan-out is not to make this delivery a second time.
update anzol_accepted set resent = 1
 where customer_id = (select customer_id from anzol_message where seq = :message) and message = :message
