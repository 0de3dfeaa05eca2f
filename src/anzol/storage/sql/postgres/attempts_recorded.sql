-- Attempts that one snapshot sees and an earlier one did not: those recorded between them, whenever they began.
select a.id, a.message_id, a.endpoint_id, a.number, a.outcome, a.status, a.detail, a.note, a.manual, a.started_at,
       a.resolve, a.connect, a.tls, a.first_byte, a.total, a.response_headers, a.response_body
  from anzol.attempt a
 cross join (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as top) s
 cross join lateral ( -- a row's transaction with its epoch, which the row itself does not have
       select greatest(0, s.top - ((s.top - a.xmin::text::bigint) & 4294967295))::text::xid8 as made) x
 where a.id > :after
   and not pg_visible_in_snapshot(x.made, :seen::text::pg_snapshot)
   and pg_visible_in_snapshot(x.made, :through::text::pg_snapshot)
   and exists (select from anzol.message m where m.id = a.message_id and m.environment = :environment)
-- conditions
 order by a.id limit :most
