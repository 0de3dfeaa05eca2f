-- Pending deliveries of these endpoints, in no order, and of each whether it is meant: all, if they are less than asked.
select x.message_id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select p.message_id, p.endpoint_id, 0 as state
          from unnest(:endpoints::uuid[]) as g (endpoint_id)
         cross join lateral (
               select y.message_id, y.endpoint_id from anzol.pending y
                where y.endpoint_id = g.endpoint_id limit :each) p
         limit :each) x
