select s.id, s.kind, c.uid, s.endpoint, s.scope, s.state, s.changed, s.result, s.error, s.actor, s.created_at, s.updated_at
  from anzol.sweep s left join anzol.customer c on c.id = s.customer_id
 where s.id = :id and s.environment = :environment
