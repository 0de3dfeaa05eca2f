select c.id, c.uid, c.name, c.metadata, c.throttle, c.created_at, c.updated_at, exists (
       select 1 from anzol_pause_rule r
        where r.customer_id = c.id and r.event_type is null and r.endpoint is null)
  from anzol_customer c
 where c.id = :id and c.environment = :environment and c.deleted_at is null
