delete from anzol.message_key where (customer_id, key) in (
    select customer_id, key from anzol.message_key where created_at < :before order by created_at limit :most)
