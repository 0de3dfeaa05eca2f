select s.id, s.id, e.id, s.value, s.created_at, s.expires_at, v.name, e.customer_id
  from anzol_endpoint_secret s
  join anzol_endpoint e on e.seq = s.endpoint
  join anzol_environment v on v.id = e.environment
 where s.id > :after1 order by s.id limit :most
