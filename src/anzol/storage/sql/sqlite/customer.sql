select c.id, c.uid, c.name, c.metadata, c.throttle, c.created_at, c.updated_at, exists (
       select 1 from anzol_pause_rule r
        where r.customer_id = c.id and r.event_type is null and r.endpoint is null)
  from anzol_environment v join anzol_customer c on c.environment = v.id and c.uid = :uid and c.deleted_at is null
 where v.name = :environment
