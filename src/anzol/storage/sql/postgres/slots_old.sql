delete from anzol.message_key where ctid = any(array(
    select ctid from anzol.message_key
     where customer_id = '00000000-0000-0000-0000-000000000000' and created_at <= :before order by created_at limit :most))
