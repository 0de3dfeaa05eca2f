-- Message by message of the customer.
select m.id, e.id, coalesce(c.uid, m.customer), m.event_type, x.state, x.cause, x.attempts, 0, '',
       null, m.created_at, x.ended_at, x.message, x.endpoint
  from anzol_message m indexed by anzol_message_customer
  cross join anzol_delivery x on x.message = m.seq
  cross join anzol_endpoint e on e.seq = x.endpoint
  left join anzol_customer c on c.id = m.customer_id
 where m.environment = :environment
   and m.seq <= :place and (m.seq, x.endpoint) < (:place, :place_endpoint) -- either way
-- conditions
 order by m.seq desc, x.endpoint desc limit :most -- either way
