select m.id, x.endpoint_id, coalesce(c.uid, m.customer), m.event_type, x.state, x.cause, x.attempts, false, '',
       null, m.created_at, x.ended_at, x.message_id, x.endpoint_id
  from anzol.delivery x
  join anzol.message m on m.id = x.message_id
  left join anzol.customer c on c.id = m.customer_id
 where m.environment = :environment and (x.message_id, x.endpoint_id) < (:before, :before_endpoint)
-- conditions
 order by x.message_id desc, x.endpoint_id desc limit :most
