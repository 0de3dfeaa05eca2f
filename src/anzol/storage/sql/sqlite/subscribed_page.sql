-- The next endpoints of an environment that are enabled, and what they are subscribed to.
select e.seq, lower(hex(e.customer_id)), e.event_types
  from anzol_endpoint e
 where e.environment = :environment and e.seq > :after and e.deleted_at is null and e.disabled is null
   and e.customer_id <> :operational
 order by e.seq limit :most
