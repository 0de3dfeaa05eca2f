-- Requests whose message was there already, by its key: their slots remember that one.
update anzol.message_key k
   set message_id = (select g.message_id from unnest(:slots::text[], :firsts::uuid[]) as g (slot, message_id)
                      where g.slot = k.key limit 1)
 where k.customer_id = '00000000-0000-0000-0000-000000000000' and k.key = any(:slots::text[])
