-- The next deliveries of each of these endpoints that have ended, and of each whether it is meant.
select x.message_id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select d.message_id, d.endpoint_id, d.state
          from unnest(:endpoints::uuid[]) as g (endpoint_id)
         cross join lateral (
               select y.message_id, y.endpoint_id, y.state from anzol.delivery y
                where y.endpoint_id = g.endpoint_id
                  and y.message_id >= :through -- either way
                  and (y.message_id, y.endpoint_id) < (:after, :after_endpoint) -- either way
                order by y.message_id desc limit :each) d) x -- either way
