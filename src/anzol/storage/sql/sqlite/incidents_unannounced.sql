-- With the last attempt of the delivery that each is about.
select i.id, i.kind, i.at, v.name, e.customer_id,
       coalesce(c.uid, case when i.kind = 8 then i.detail end), e.id, e.uid, i.message_id, m.key, i.detail,
       l.failing_since, a.id, a.status, a.started_at
  from (select * from anzol_incident where announced = 0 order by id limit :most) i
  join anzol_endpoint e on e.seq = i.endpoint
  join anzol_environment v on v.id = e.environment
  left join anzol_customer c on c.id = e.customer_id
  left join anzol_lane l on l.endpoint = e.seq
  left join anzol_message m on m.id = i.message_id
  left join anzol_attempt a on a.seq = (select max(x.seq) from anzol_attempt x
                                         where x.message = m.seq and x.endpoint = e.seq)
 order by i.id
