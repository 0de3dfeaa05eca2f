-- The next pending deliveries, lane by lane, and of each whether it is meant: who asks again begins behind the last one.
select x.id, x.endpoint_id, coalesce((
       select true from anzol.message m join anzol.endpoint e on e.id = x.endpoint_id
        where m.id = x.message_id and m.environment = :environment and e.deleted_at is null
-- conditions
       ), false)
  from (select p.*
          from anzol.endpoint o
         cross join lateral (
               select y.id, y.endpoint_id, y.message_id, y.holder, y.paused
                 from anzol.pending y
                where y.endpoint_id = o.id and (y.endpoint_id, y.id) > (:after_endpoint, :after)
                order by y.id limit :most) p
         where o.customer_id = :customer_id and o.deleted_at is null and o.id >= :after_endpoint
         order by o.id, p.id limit :most) x
 order by x.endpoint_id, x.id
