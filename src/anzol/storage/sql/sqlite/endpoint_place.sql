select e.seq, e.id, e.customer_id
  from anzol_endpoint e join anzol_environment v on v.id = e.environment
 where e.id = :id and v.name = :environment and e.deleted_at is null
