delete from anzol.attempt where id = any(array(
    select id from anzol.attempt where message_id = any(:messages::uuid[]) limit :most))
