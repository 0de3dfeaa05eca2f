-- Deliveries that an endpoint never had, in the messages' order: due now, or when the message is to be delivered. Those that
-- a rule with an event type holds back wait.
with given as materialized (
    select g.message_id, g.place from unnest(:messages::uuid[]) with ordinality as g (message_id, place)
)
insert into anzol.pending (endpoint_id, message_id, due_at, manual, paused)
select e.id, m.id, greatest(:now, m.deliver_at), true, exists (
       select from anzol.pause_rule r
        where r.environment = m.environment and r.event_type = m.event_type
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id)
  from given g
  join anzol.message m on m.id = g.message_id
  join anzol.endpoint e on e.id = :endpoint
 where not exists (select from anzol.delivery d where d.message_id = m.id and d.endpoint_id = e.id)
 order by g.place
on conflict (message_id, endpoint_id) do nothing
returning message_id
