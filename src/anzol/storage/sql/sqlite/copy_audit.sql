select a.seq, a.seq, v.name, a.at, a.actor, a.action, a.object, a.customer_id, a.detail
  from anzol_audit a join anzol_environment v on v.id = a.environment
 where a.seq > :after1 order by a.seq limit :most
