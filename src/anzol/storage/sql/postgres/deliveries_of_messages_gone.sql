delete from anzol.delivery where ctid = any(array(
    select ctid from anzol.delivery where message_id = any(:messages::uuid[]) limit :most))
