-- With the last attempt of the delivery that each is about. With `offset 0` each is asked for by the index, whatever the
-- planner knows of the tables.
select i.id, i.kind, i.at, e.environment, e.customer_id,
       coalesce(c.uid, case when i.kind = 8 then i.detail end), e.id, e.uid, i.message_id, m.key, i.detail,
       l.failing_since, a.id, a.status, a.started_at
  from (select * from anzol.incident where not announced order by id limit :most) i
 cross join lateral (select * from anzol.endpoint x where x.id = i.endpoint_id offset 0) e
  left join lateral (select x.uid from anzol.customer x where x.id = e.customer_id offset 0) c on true
  left join lateral (select x.failing_since from anzol.lane x where x.endpoint_id = e.id offset 0) l on true
  left join lateral (select x.key from anzol.message x where x.id = i.message_id offset 0) m on true
  left join lateral (
       select x.id, x.status, x.started_at from anzol.attempt x
        where x.message_id = i.message_id and x.endpoint_id = e.id
        order by x.id desc limit 1) a on true
 order by i.id
