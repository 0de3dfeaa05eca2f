select e.seq, e.id, e.customer_id, v.name, e.headers
  from anzol_endpoint e join anzol_environment v on v.id = e.environment
 where e.seq > :after order by e.seq limit :most
