-- What the holders of these lanes must know of their endpoints; secrets by version.
select e.id, e.customer_id, c.uid, e.environment, e.url, e.headers, e.header_prefix, e.throttle, e.fifo, e.schedule,
       l.parked, l.failures, l.failing_since, l.circuit_open_until, l.circuit_step,
       (select min(s.expires_at) from anzol.endpoint_secret s where s.endpoint_id = e.id and s.expires_at > :now),
       array(select s.id from anzol.endpoint_secret s
              where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > :now) order by s.id),
       array(select s.value from anzol.endpoint_secret s
              where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > :now) order by s.id),
       c.throttle
  from anzol.endpoint e
  join anzol.lane l on l.endpoint_id = e.id
  left join lateral (select c.uid, c.throttle from anzol.customer c where c.id = e.customer_id offset 0) c on true
 where e.id = any(:endpoints::uuid[]) and l.endpoint_id = any(:endpoints)
