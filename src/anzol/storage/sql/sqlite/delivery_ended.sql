select m.id, e.id, coalesce(c.uid, m.customer), m.event_type, x.state, x.cause, x.attempts, 0, '',
       null, m.created_at, x.ended_at
  from anzol_delivery x
  join anzol_message m on m.seq = x.message
  join anzol_endpoint e on e.seq = x.endpoint
  left join anzol_customer c on c.id = m.customer_id
 where x.message = :message and x.endpoint = :endpoint
