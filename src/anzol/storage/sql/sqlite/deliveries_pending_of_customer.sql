-- Message by message of the customer.
select m.id, e.id, coalesce(c.uid, m.customer), m.event_type, 0, null, x.attempt, x.holder is not null,
       case when l.parked & 5 then 'disabled' when l.parked & 2 or x.paused then 'paused' else '' end,
       x.due_at, m.created_at, null, x.message, x.endpoint
  from anzol_message m indexed by anzol_message_customer
  cross join anzol_pending x indexed by anzol_pending_message on x.message = m.seq
  cross join anzol_endpoint e on e.seq = x.endpoint
  cross join anzol_lane l on l.endpoint = x.endpoint
  left join anzol_customer c on c.id = m.customer_id
 where m.environment = :environment
   and m.seq <= :place and (m.seq, x.endpoint) < (:place, :place_endpoint) -- either way
-- conditions
 order by m.seq desc, x.endpoint desc limit :most -- either way
