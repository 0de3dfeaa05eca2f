select m.id, e.id, coalesce(c.uid, m.customer), m.event_type, x.state, x.cause, x.attempts, 0, '',
       null, m.created_at, x.ended_at, x.message, x.endpoint
  from anzol_delivery x
  cross join anzol_message m on m.seq = x.message
  cross join anzol_endpoint e on e.seq = x.endpoint
  left join anzol_customer c on c.id = m.customer_id
 where m.environment = :environment
   and x.message <= :place and (x.message, x.endpoint) < (:place, :place_endpoint) -- either way
-- conditions
 order by x.message desc, x.endpoint desc limit :most -- either way
