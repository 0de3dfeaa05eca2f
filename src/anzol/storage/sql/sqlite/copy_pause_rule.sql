select r.id, r.id, v.name, r.customer_id, r.event_type, e.id, r.created_at, r.actor
  from anzol_pause_rule r
  join anzol_environment v on v.id = r.environment
  left join anzol_endpoint e on e.seq = r.endpoint
 where r.id > :after1 order by r.id limit :most
