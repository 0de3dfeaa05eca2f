select e.seq, e.id, e.seq, v.name, e.customer_id, e.uid, e.url, e.description, e.event_types, e.channels,
       e.header_names, e.headers, e.throttle, e.fifo, e.contact, e.header_prefix, e.schedule, e.metadata, e.disabled,
       e.enabled_at, e.created_at, e.updated_at, e.deleted_at
  from anzol_endpoint e join anzol_environment v on v.id = e.environment
 where e.seq > :after1 order by e.seq limit :most
