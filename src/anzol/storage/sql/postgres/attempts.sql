-- These attempts, in the given order.
select x.id, x.message_id, x.endpoint_id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at,
       x.resolve, x.connect, x.tls, x.first_byte, x.total, x.response_headers, x.response_body
  from unnest(:attempts::uuid[]) with ordinality as g (id, place)
 cross join lateral (select a.* from anzol.attempt a where a.id = g.id limit 1) x
 order by g.place
