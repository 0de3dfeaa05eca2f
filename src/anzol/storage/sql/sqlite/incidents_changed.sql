-- What people did to an endpoint, to be announced only: nothing is kept where there is no operational endpoint. Of one that
-- is deleted its customer's uid goes along: the customer may be gone by then.
insert into anzol_incident (kind, at, endpoint, detail, telling_until)
select :kind, :now, e.seq, coalesce(:detail, c.uid), 9223372036854775807
  from anzol_endpoint e
  join anzol_operational o on o.environment = e.environment and o.customer_id <> e.customer_id
  join anzol_customer c on c.id = e.customer_id
 where e.seq = :endpoint and coalesce((e.disabled is not null) = :disabled, 1)
