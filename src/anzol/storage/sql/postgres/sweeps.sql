select s.id, s.kind, c.uid, s.endpoint, s.scope, s.state, s.changed, s.result, s.error, s.actor, s.created_at, s.updated_at,
       s.number
  from anzol.sweep s left join anzol.customer c on c.id = s.customer_id
 where s.environment = :environment
   and s.number < :after -- either way
-- conditions
 order by s.number desc limit :most -- either way
