-- The next pending deliveries, lane by lane, and of each whether it is meant: who asks again begins behind the last one.
select x.id, x.endpoint_id, coalesce((
       select true from anzol.message m join anzol.endpoint e on e.id = x.endpoint_id
        where m.id = x.message_id and m.environment = :environment and e.deleted_at is null
-- conditions
       ), false)
  from (select p.id, p.endpoint_id, p.message_id, p.holder, p.paused
          from anzol.pending p
         where (p.endpoint_id, p.id) > (:after_endpoint, :after)
         order by p.endpoint_id, p.id limit :most) x
 order by x.endpoint_id, x.id
