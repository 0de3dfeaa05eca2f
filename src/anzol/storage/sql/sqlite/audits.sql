select a.seq, a.at, a.actor, a.action, a.object, c.uid, a.detail, a.seq
  from anzol_audit a left join anzol_customer c on c.id = a.customer_id
 where a.environment = :environment
   and a.seq < :after -- either way
-- conditions
 order by a.seq desc limit :most -- either way
