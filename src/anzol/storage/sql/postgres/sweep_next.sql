-- The running sweep that has waited longest of those that no other live worker holds; nobody else has it meanwhile. A term
-- that ends further ahead than two is of a clock that was set back, and does not count.
select s.id, s.environment, s.kind, c.uid, s.customer_id is not null and (c.id is null or c.deleted_at is not null),
       s.endpoint, s.scope, s.place, s.result
  from anzol.sweep s left join anzol.customer c on c.id = s.customer_id
 where s.state = 0
   and (s.holder is null or s.holder = :me or s.held_until <= :now or s.held_until > :now + 2 * :term::bigint
        or not exists (select from anzol.worker w where w.id = s.holder and w.expires_at > :now))
 order by s.updated_at, s.number limit 1
   for update of s skip locked
