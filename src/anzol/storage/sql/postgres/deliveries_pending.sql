select m.id, x.endpoint_id, coalesce(c.uid, m.customer), m.event_type, 0, null, x.attempt, x.holder is not null,
       case when l.parked & 5 <> 0 then 'disabled' when l.parked & 2 <> 0 or x.paused then 'paused' else '' end,
       x.due_at, m.created_at, null, x.message_id, x.endpoint_id
  from anzol.pending x
  join anzol.message m on m.id = x.message_id
  join anzol.lane l on l.endpoint_id = x.endpoint_id
  left join anzol.customer c on c.id = m.customer_id
 where m.environment = :environment and (x.message_id, x.endpoint_id) < (:before, :before_endpoint)
-- conditions
 order by x.message_id desc, x.endpoint_id desc limit :most
