select a.number, a.at, a.actor, a.action, a.object, c.uid, a.detail, a.number
  from anzol.audit a left join anzol.customer c on c.id = a.customer_id
 where a.environment = :environment
   and a.number < :after -- either way
-- conditions
 order by a.number desc limit :most -- either way
