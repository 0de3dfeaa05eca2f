delete from anzol.message_key where ctid = any(array(
    select ctid from anzol.message_key where created_at < :before order by created_at limit :most))
