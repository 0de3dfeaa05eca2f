select r.id, c.uid, r.event_type, e.id, r.created_at, r.actor
  from anzol_pause_rule r
  left join anzol_customer c on c.id = r.customer_id
  left join anzol_endpoint e on e.seq = r.endpoint
 where r.id = :id
