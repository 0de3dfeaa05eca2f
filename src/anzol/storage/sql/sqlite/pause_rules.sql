select r.id, c.uid, r.event_type, e.id, r.created_at, r.actor
  from anzol_environment v
  join anzol_pause_rule r on r.environment = v.id
  left join anzol_customer c on c.id = r.customer_id
  left join anzol_endpoint e on e.seq = r.endpoint
 where v.name = :environment order by r.id
