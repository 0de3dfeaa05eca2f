-- Incidents of lanes that the worker holds.
insert into anzol.incident (kind, at, endpoint_id, message_id, detail)
select g.kind, :now, g.endpoint_id, g.message_id, g.detail
  from unnest(:kinds::smallint[], :endpoints::uuid[], :messages::uuid[], :details::text[])
       with ordinality as g (kind, endpoint_id, message_id, detail, place)
 where exists (select from anzol.lane l where l.endpoint_id = g.endpoint_id and l.holder = :me)
 order by g.place
