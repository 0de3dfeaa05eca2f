-- The next endpoints of an environment, what they are subscribed to, and whether they count: those that are enabled.
select e.number, encode(uuid_send(e.customer_id), 'hex'), to_json(e.event_types),
       e.deleted_at is null and e.disabled is null and e.customer_id <> :operational
  from anzol.endpoint e
 where e.environment = :environment and e.number > :after
 order by e.number limit :most
