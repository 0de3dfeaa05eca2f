-- Its pending rows are in no order of messages: the page is found among all of them, then shown.
select m.id, e.id, coalesce(c.uid, m.customer), m.event_type, 0, null, x.attempt, x.holder is not null,
       case when l.parked & 5 then 'disabled' when l.parked & 2 or x.paused then 'paused' else '' end,
       x.due_at, m.created_at, null, x.message, x.endpoint
  from (select x.id
          from anzol_pending x indexed by anzol_pending_lane
         where x.endpoint = :endpoint
           and (x.message, x.endpoint) < (:place, :place_endpoint) -- either way
-- conditions
         order by x.message desc limit :most) k -- either way
  cross join anzol_pending x on x.id = k.id
  cross join anzol_message m on m.seq = x.message
  cross join anzol_endpoint e on e.seq = x.endpoint
  cross join anzol_lane l on l.endpoint = x.endpoint
  left join anzol_customer c on c.id = m.customer_id
 order by x.message desc -- either way
