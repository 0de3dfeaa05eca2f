-- The next deliveries that have ended, in the messages' order, and of each whether it is meant and may be sent again: who
-- asks again begins behind the last one.
select x.message_id, x.endpoint_id, coalesce((
       select true from anzol.message m join anzol.endpoint e on e.id = x.endpoint_id
        where m.id = x.message_id and m.environment = :environment and m.body is not null and e.deleted_at is null
-- conditions
       ), false)
  from (select n.id as message_id, d.endpoint_id, d.state, d.attempts
         from (select n.id from anzol.message n
                where n.customer_id = :customer_id and n.id >= :after and n.id <= :through
                order by n.id limit :most) n
         left join lateral (
              select d.endpoint_id, d.state, d.attempts from anzol.delivery d
               where d.message_id = n.id and (d.message_id, d.endpoint_id) > (:after, :after_endpoint)
               order by d.endpoint_id limit :most) d on true
        order by n.id, d.endpoint_id limit :most) x
 order by x.message_id, x.endpoint_id
