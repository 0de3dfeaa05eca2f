-- The running sweep that has waited longest of those that no other live worker holds. A term that ends further ahead than two
-- is of a clock that was set back, and does not count.
select s.seq, v.name, s.kind, c.uid, s.customer_id is not null and (c.id is null or c.deleted_at is not null),
       s.endpoint, s.scope, s.place, s.result
  from anzol_sweep s
  join anzol_environment v on v.id = s.environment
  left join anzol_customer c on c.id = s.customer_id
 where s.state = 0
   and (s.holder is null or s.holder = :me or s.held_until <= :now or s.held_until > :now + 2 * :term
        or not exists (select 1 from anzol_worker w where w.id = s.holder and w.expires_at > :now))
 order by s.updated_at, s.seq limit 1
