-- The next endpoints of an environment, what they are subscribed to, and whether they count: those that are enabled.
select e.seq, lower(hex(e.customer_id)), e.event_types,
       e.deleted_at is null and e.disabled is null and e.customer_id <> :operational
  from anzol_endpoint e
 where e.environment = :environment and e.seq > :after
 order by e.seq limit :most
