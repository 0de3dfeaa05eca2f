-- Incidents of lanes that the worker holds; announced, if there is an operational endpoint and it is none itself.
insert into anzol.incident (kind, at, endpoint_id, message_id, detail, announced)
select g.kind, :now, g.endpoint_id, g.message_id, g.detail,
       not exists (select from anzol.endpoint e
                    where e.id = g.endpoint_id
                      and exists (select from anzol.operational o
                                   where o.environment = e.environment and o.customer_id <> e.customer_id offset 0))
  from unnest(:kinds::smallint[], :endpoints::uuid[], :messages::uuid[], :details::text[])
       with ordinality as g (kind, endpoint_id, message_id, detail, place)
 where exists (select from anzol.lane l where l.endpoint_id = g.endpoint_id and l.holder = :me)
 order by g.place
