select e.id, e.uid, c.uid, e.url, e.description, to_json(e.event_types), to_json(e.channels), to_json(e.header_names),
       e.throttle, e.fifo, e.contact, e.header_prefix, to_json(e.schedule), e.metadata, e.disabled, e.created_at,
       e.updated_at, l.parked, l.failures, l.failing_since, l.circuit_open_until,
       (select count(*) from (select 1 from anzol.pending p where p.endpoint_id = e.id limit :bound) w),
       e.number
  from anzol.endpoint e
  join anzol.lane l on l.endpoint_id = e.id
  join anzol.customer c on c.id = e.customer_id
 where e.environment = :environment and e.deleted_at is null
   and e.number < :after -- either way
-- conditions
 order by e.number desc limit :most -- either way
