-- Of these messages those of which nothing is pending or to be fanned out.
select m.id
  from anzol.message m
 where m.id = any(:messages::uuid[])
   and not exists (select 1 from anzol.pending p where p.message_id = m.id offset 0)
   and not exists (select 1 from anzol.accepted a where a.customer_id = m.customer_id and a.message_id = m.id offset 0)
 order by m.id limit :most
