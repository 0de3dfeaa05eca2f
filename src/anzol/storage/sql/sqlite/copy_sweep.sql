select s.seq, s.id, s.seq, v.name, s.kind, s.customer_id, s.endpoint, s.scope, s.state, s.place is not null, s.changed,
       s.result, s.error, s.actor, s.created_at, s.updated_at
  from anzol_sweep s join anzol_environment v on v.id = s.environment
 where s.seq > :after1 order by s.seq limit :most
