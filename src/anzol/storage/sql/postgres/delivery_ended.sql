select m.id, x.endpoint_id, coalesce(c.uid, m.customer), m.event_type, x.state, x.cause, x.attempts, false, '',
       null, m.created_at, x.ended_at
  from anzol.delivery x
  join anzol.message m on m.id = x.message_id
  left join anzol.customer c on c.id = m.customer_id
 where x.message_id = :message and x.endpoint_id = :endpoint
