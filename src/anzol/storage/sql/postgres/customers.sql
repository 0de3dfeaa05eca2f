select c.id, c.uid, c.name, c.metadata, c.throttle, c.created_at, c.updated_at, exists (
       select 1 from anzol.pause_rule r
        where r.customer_id = c.id and r.event_type is null and r.endpoint_id is null),
       c.number
  from anzol.customer c
 where c.environment = :environment and c.deleted_at is null and c.uid <> :operational
   and c.number < :after -- either way
 order by c.number desc limit :most -- either way
