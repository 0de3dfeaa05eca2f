-- With the last attempt of the delivery that each is about.
select i.id, i.kind, i.at, e.environment, e.customer_id,
       coalesce(c.uid, case when i.kind = 8 then i.detail end), e.id, e.uid, i.message_id, m.key, i.detail,
       l.failing_since, a.id, a.status, a.started_at
  from (select * from anzol.incident where not announced order by id limit :most) i
  join anzol.endpoint e on e.id = i.endpoint_id
  left join anzol.customer c on c.id = e.customer_id
  left join anzol.lane l on l.endpoint_id = e.id
  left join anzol.message m on m.id = i.message_id
  left join lateral (
       select x.id, x.status, x.started_at from anzol.attempt x
        where x.message_id = i.message_id and x.endpoint_id = e.id
        order by x.id desc limit 1) a on true
 order by i.id
