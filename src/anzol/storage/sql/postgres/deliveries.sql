-- These deliveries, pending and ended, in the given order.
select g.message_id, g.endpoint_id, coalesce(c.uid, m.customer), m.event_type, x.state, x.cause, x.attempts, x.in_flight,
       case when x.state > 0 then '' when l.parked & 5 <> 0 then 'disabled'
            when l.parked & 2 <> 0 or x.paused then 'paused' else '' end,
       x.due_at, m.created_at, x.ended_at
  from unnest(:messages::uuid[], :endpoints::uuid[]) with ordinality as g (message_id, endpoint_id, place)
 cross join lateral (
       select 0 as state, null::smallint as cause, p.attempt as attempts, p.holder is not null as in_flight, p.paused,
              p.due_at, null::bigint as ended_at
         from anzol.pending p where p.message_id = g.message_id and p.endpoint_id = g.endpoint_id
        union all
       select d.state, d.cause, d.attempts, false, false, null, d.ended_at
         from anzol.delivery d where d.message_id = g.message_id and d.endpoint_id = g.endpoint_id
        limit 1) x
 cross join lateral (select y.* from anzol.message y where y.id = g.message_id limit 1) m
  left join anzol.lane l on l.endpoint_id = g.endpoint_id
  left join anzol.customer c on c.id = m.customer_id
 order by g.place
