-- The next endpoints of an environment that are enabled, and what they are subscribed to.
select e.number, encode(uuid_send(e.customer_id), 'hex'), to_json(e.event_types)
  from anzol.endpoint e
 where e.environment = :environment and e.number > :after and e.deleted_at is null and e.disabled is null
   and e.customer_id <> :operational
 order by e.number limit :most
