delete from anzol.message_key k
 where k.customer_id = '00000000-0000-0000-0000-000000000000' and k.key = any(:slots::text[])
