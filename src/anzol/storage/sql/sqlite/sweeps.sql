select s.id, s.kind, c.uid, s.endpoint, s.scope, s.state, s.changed, s.result, s.error, s.actor, s.created_at, s.updated_at,
       s.seq
  from anzol_sweep s left join anzol_customer c on c.id = s.customer_id
 where s.environment = :environment
   and s.seq < :after -- either way
-- conditions
 order by s.seq desc limit :most -- either way
