-- The next deliveries that ended in one of the states that are rare, and of each whether it is meant.
select x.message_id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select d.message_id, d.endpoint_id, d.state from anzol.delivery d
         where d.state = :state and d.state > 1
           and (d.message_id, d.endpoint_id) < (:after, :after_endpoint) and d.message_id >= :through -- either way
         order by d.message_id desc, d.endpoint_id desc limit :each) x -- either way
