select customer_id, key, customer_id, key, message_id, digest, created_at
  from anzol_message_key
 where (customer_id, key) > (:after1, :after2) order by customer_id, key limit :most
