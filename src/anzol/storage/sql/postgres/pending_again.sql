-- Deliveries pending and due once more, in their order: the count of attempts goes on, the schedule begins anew. Those
-- that a rule with an event type holds back wait. Of a delivery that is pending already, nothing is made; one that never
-- was is made if that is asked for.
with given as materialized (
    select g.message_id, g.endpoint_id, g.place
      from unnest(:messages::uuid[], :endpoints::uuid[]) with ordinality as g (message_id, endpoint_id, place)
),
locked as materialized (
    select d.message_id, d.endpoint_id
      from given g join anzol.delivery d on d.message_id = g.message_id and d.endpoint_id = g.endpoint_id
     order by d.message_id, d.endpoint_id
       for update of d
),
gone as (
    delete from anzol.delivery d using locked l
     where d.message_id = l.message_id and d.endpoint_id = l.endpoint_id
    returning d.message_id, d.endpoint_id, d.attempts
)
insert into anzol.pending (endpoint_id, message_id, due_at, attempt, manual, paused)
select g.endpoint_id, g.message_id, :now, coalesce(d.attempts, 0), true, exists (
       select 1 from anzol.message m
         join anzol.endpoint e on e.id = g.endpoint_id
         join anzol.pause_rule r on r.environment = m.environment and r.event_type = m.event_type
        where m.id = g.message_id
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id)
  from given g
  left join gone d on d.message_id = g.message_id and d.endpoint_id = g.endpoint_id
 where d.message_id is not null or :fresh
 order by g.place
on conflict (message_id, endpoint_id) do nothing
returning endpoint_id, message_id
