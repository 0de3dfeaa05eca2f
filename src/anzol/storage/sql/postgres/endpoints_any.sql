-- These endpoints, deleted or not.
select e.id, e.uid, c.uid, e.url, e.description, to_json(e.event_types), to_json(e.channels), to_json(e.header_names),
       e.throttle, e.fifo, e.contact, e.header_prefix, to_json(e.schedule), e.metadata, e.disabled, e.created_at,
       e.updated_at, coalesce(l.parked, 4), coalesce(l.failures, 0), l.failing_since, l.circuit_open_until,
       (select count(*) from (select 1 from anzol.pending p where p.endpoint_id = e.id limit :bound) w)
  from unnest(:ids::uuid[]) g (id)
  join anzol.endpoint e on e.id = g.id
  left join anzol.lane l on l.endpoint_id = e.id
  join anzol.customer c on c.id = e.customer_id
 where e.environment = :environment
