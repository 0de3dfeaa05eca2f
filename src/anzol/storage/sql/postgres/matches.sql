-- Who wants these messages (the same rule as anzol.subscription), and how each lane stands. Before each: the oldest
-- message of the same customer that should go before and is not among these, asked only if the endpoint is FIFO.
with given as materialized (
    select * from unnest(:outbox::bigint[], :messages::uuid[], :customers::uuid[], :starts::uuid[], :untils::uuid[],
                         :resent::boolean[])
        as g (id, message_id, customer_id, start, until, resent)
),
found as materialized (
    select g.id as outbox, g.customer_id, m.id as message_id, e.id as endpoint_id, m.deliver_at,
           exists (select from anzol.pause_rule r
                    where r.environment = m.environment and r.event_type = m.event_type
                      and coalesce(r.customer_id, g.customer_id) = g.customer_id
                      and coalesce(r.endpoint_id, e.id) = e.id) as paused,
           e.fifo, l.holder, l.parked, l.turn_at, l."full"
      from given g
     cross join lateral ( -- with `offset 0` asked for each, by the index, whatever the planner knows of the tables
           select m.id, m.environment, m.event_type, m.channels, m.only_endpoint, m.deliver_at, m.created_at
             from anzol.message m where m.id = g.message_id
           offset 0) m
     cross join lateral (
           select e.id, e.fifo, e.event_types, e.channels, e.disabled, e.created_at
             from anzol.endpoint e
            where e.id = any(array( -- by the one index that knows customer and place; by others all of many are read
                  select x.id from anzol.endpoint x
                   where x.customer_id = g.customer_id and x.id > g.start and x.id <= g.until and x.deleted_at is null))
           offset 0) e
     cross join lateral (
           select l.holder, l.parked, l.turn_at, l."full" from anzol.lane l where l.endpoint_id = e.id
           offset 0) l
     where e.disabled is null
       and not (g.resent
                and (exists (select from anzol.pending p where p.message_id = m.id and p.endpoint_id = e.id)
                  or exists (select from anzol.delivery d where d.message_id = m.id and d.endpoint_id = e.id)))
       and case when m.only_endpoint is not null then e.id = m.only_endpoint
           else (e.created_at <= m.created_at or e.created_at > :now) -- ahead of now: made before the clock was set back
            and (e.event_types = '{}' or m.event_type = any(e.event_types))
            and (e.channels = '{}' or e.channels && m.channels)
           end
),
standing as materialized (
    select f.endpoint_id,
           case when f.fifo then exists (select from anzol.pending p where p.endpoint_id = f.endpoint_id)
           else exists (select from anzol.pending p
                         where p.endpoint_id = f.endpoint_id and p.holder is null and not p.paused and p.due_at <= :now)
           end as waiting
      from (select distinct endpoint_id, fifo from found where holder = :me) f
),
older as materialized (
    select f.customer_id,
           (select a.id from anzol.accepted a
             where a.customer_id = f.customer_id and a.id < f.last and a.id <> all(:outbox::bigint[])
             order by a.id limit 1) as id
      from (select customer_id, max(outbox) as last from found where fifo group by customer_id) f
)
select o.id, f.outbox, f.message_id, f.endpoint_id, f.deliver_at, f.paused, f.fifo, f.holder, f.parked, f.turn_at,
       f."full", coalesce(s.waiting, false)
  from found f
  left join standing s on s.endpoint_id = f.endpoint_id
  left join older o on o.customer_id = f.customer_id
 order by f.outbox, f.endpoint_id
