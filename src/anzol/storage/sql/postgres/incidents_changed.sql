-- What people did to endpoints, to be announced only: nothing is kept where there is no operational endpoint. Of one that is
-- deleted its customer's uid goes along: the customer may be gone by then.
insert into anzol.incident (kind, at, endpoint_id, detail, telling_until)
select :kind, :now, e.id, coalesce(:detail::text, c.uid), 9223372036854775807
  from (select unnest(:endpoints::uuid[]) as id) g
 cross join lateral (
       select x.id, x.environment, x.customer_id, x.disabled is not null as disabled
         from anzol.endpoint x where x.id = g.id offset 0) e
 cross join lateral (select x.uid from anzol.customer x where x.id = e.customer_id offset 0) c
 where coalesce(e.disabled = :disabled::boolean, true)
   and exists (select from anzol.operational o where o.environment = e.environment and o.customer_id <> e.customer_id offset 0)
