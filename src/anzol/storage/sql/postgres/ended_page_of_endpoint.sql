-- The next deliveries that have ended, in the messages' order, and of each whether it is meant and may be sent again: who
-- asks again begins behind the last one.
select x.message_id, x.endpoint_id, coalesce((
       select true from anzol.message m join anzol.endpoint e on e.id = x.endpoint_id
        where m.id = x.message_id and m.environment = :environment and m.body is not null and e.deleted_at is null
-- conditions
       ), false)
  from (select d.message_id, d.endpoint_id, d.state, d.attempts
          from anzol.delivery d
         where d.endpoint_id = :endpoint
           and (d.message_id, d.endpoint_id) > (:after, :after_endpoint) and d.message_id <= :through
         order by d.message_id limit :most) x
 order by x.message_id, x.endpoint_id
