-- Held back, or no longer, by the rules as they are. Locked in order before.
with locked as materialized (
    select id from anzol.pending where id = any(:pending::bigint[]) order by id for update
)
update anzol.pending p
   set paused = not p.paused
  from anzol.message m, anzol.endpoint e
 where p.id = any(array(select id from locked)) and m.id = p.message_id and e.id = p.endpoint_id
   and p.paused <> exists (
       select 1 from anzol.pause_rule r
        where r.environment = m.environment and r.event_type = m.event_type
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id)
returning p.endpoint_id
