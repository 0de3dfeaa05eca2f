select e.id, e.url, e.event_types, e.channels, e.disabled, e.deleted_at, e.created_at, e.enabled_at,
       exists (select 1 from anzol.pending p where p.message_id = :message and p.endpoint_id = e.id)
       or exists (select 1 from anzol.delivery d where d.message_id = :message and d.endpoint_id = e.id)
  from anzol.endpoint e where e.customer_id = :customer_id order by e.number
