select r.id, c.uid, r.event_type, r.endpoint_id, r.created_at, r.actor
  from anzol.pause_rule r
  left join anzol.customer c on c.id = r.customer_id
 where r.environment = :environment order by r.id
