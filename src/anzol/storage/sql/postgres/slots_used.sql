-- Which of the given slots are taken, and by what.
select k.key, k.message_id, k.digest
  from anzol.message_key k
 where k.customer_id = '00000000-0000-0000-0000-000000000000' and k.key = any(:slots::text[])
   and k.created_at > :now - :kept::bigint
