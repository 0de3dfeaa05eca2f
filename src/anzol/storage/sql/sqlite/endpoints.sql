select e.id, e.uid, c.uid, e.url, e.description, e.event_types, e.channels, e.header_names, e.throttle, e.fifo,
       e.contact, e.header_prefix, e.schedule, e.metadata, e.disabled, e.created_at, e.updated_at, l.parked,
       l.failures, l.failing_since, l.circuit_open_until,
       (select count(*) from anzol_pending p where p.endpoint = e.seq), e.seq
  from anzol_endpoint e
  cross join anzol_lane l on l.endpoint = e.seq
  cross join anzol_customer c on c.id = e.customer_id
 where e.environment = :environment and e.deleted_at is null
   and e.seq < :place -- either way
-- conditions
 order by e.seq desc limit :most -- either way
