-- The next pending deliveries, lane by lane, and of each whether it is meant: who asks again begins behind the last one.
select x.id, x.endpoint_id, coalesce(m.environment = :environment
-- conditions
       , false)
  from anzol.endpoint e
 cross join lateral (
       select p.id, p.endpoint_id, p.message_id, p.holder, p.paused
         from anzol.pending p
        where p.endpoint_id = e.id and (p.endpoint_id, p.id) > (:after_endpoint, :after)
        order by p.id limit :most) x
  left join anzol.message m on m.id = x.message_id
 where e.environment = :environment and e.deleted_at is null and e.id >= :after_endpoint and e.id = :endpoint
 order by e.id, x.id limit :most
