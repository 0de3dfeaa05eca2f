select e.id, e.uid, c.uid, e.url, e.description, e.event_types, e.channels, e.header_names, e.throttle, e.fifo,
       e.contact, e.header_prefix, e.schedule, e.metadata, e.disabled, e.created_at, e.updated_at, coalesce(l.parked, 4),
       coalesce(l.failures, 0), l.failing_since, l.circuit_open_until,
       (select count(*) from anzol_pending p where p.endpoint = e.seq)
  from anzol_endpoint e
  left join anzol_lane l on l.endpoint = e.seq
  join anzol_customer c on c.id = e.customer_id
 where e.id = :id and e.environment = :environment
