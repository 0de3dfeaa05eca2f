delete from anzol_message_key where (customer_id, key) in (
    select customer_id, key from anzol_message_key
     where customer_id = x'00000000000000000000000000000000' and created_at <= :before order by created_at limit :most)
