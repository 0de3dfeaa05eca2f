select e.id, e.url, e.event_types, e.channels, e.disabled, e.deleted_at, e.created_at, e.enabled_at,
       exists (select 1 from anzol_pending p where p.message = :message and p.endpoint = e.seq)
       or exists (select 1 from anzol_delivery d where d.message = :message and d.endpoint = e.seq)
  from anzol_endpoint e where e.customer_id = :customer_id order by e.seq
