select p.id from anzol_pending p
  join anzol_message m on m.seq = p.message
  join anzol_endpoint e on e.seq = p.endpoint
 where e.deleted_at is null and p.paused <> exists (
       select 1 from anzol_pause_rule r
        where r.environment = m.environment and r.event_type = m.event_type
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint, e.seq) = e.seq)
