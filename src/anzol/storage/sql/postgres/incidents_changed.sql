-- What people did to endpoints, to be announced only: nothing is kept where there is no operational endpoint. Of one that is
-- deleted its customer's uid goes along: the customer may be gone by then.
insert into anzol.incident (kind, at, endpoint_id, detail, telling_until)
select :kind, :now, e.id, coalesce(:detail::text, c.uid), 9223372036854775807
  from anzol.endpoint e
  join anzol.operational o on o.environment = e.environment and o.customer_id <> e.customer_id
  join anzol.customer c on c.id = e.customer_id
 where e.id = any(:endpoints::uuid[]) and coalesce((e.disabled is not null) = :disabled::boolean, true)
 order by e.id
