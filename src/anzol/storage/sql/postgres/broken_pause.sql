select p.id from anzol.pending p
  join anzol.message m on m.id = p.message_id
  join anzol.endpoint e on e.id = p.endpoint_id
 where e.deleted_at is null and p.paused <> exists (
       select from anzol.pause_rule r
        where r.environment = m.environment and r.event_type = m.event_type
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id)
