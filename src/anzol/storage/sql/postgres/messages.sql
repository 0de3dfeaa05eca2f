-- These messages, in the given order.
select m.id, coalesce(c.uid, m.customer), m.event_type, m.method, m.content_type, m.body, m.headers, m.query,
       to_json(m.channels), to_json(m.tags), m.key, m.deliver_at, m.created_at
  from unnest(:messages::uuid[]) with ordinality as g (id, place)
 cross join lateral (select x.* from anzol.message x where x.id = g.id limit 1) m
  left join anzol.customer c on c.id = m.customer_id
 where true
-- conditions
 order by g.place
