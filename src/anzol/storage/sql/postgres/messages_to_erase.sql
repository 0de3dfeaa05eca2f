-- All but those with a delivery in flight, whose attempt is to be recorded first, and those that fan-out has in hands.
select m.id
  from anzol.customer c
  join anzol.message m on m.customer_id = c.id and m.created_at <= c.erase_through
 where c.id = :customer_id
   and not exists (select 1 from anzol.pending p where p.message_id = m.id and p.holder is not null offset 0)
   and not exists (select 1 from anzol.accepted a where a.customer_id = m.customer_id and a.message_id = m.id offset 0)
 order by m.id limit :most
