-- The next messages: the last of them, how many they are, and of those that are meant how many each customer was sent of
-- each event type, with their deliveries.
with page as materialized (
    select m.id, m.customer_id, m.event_type,
           m.created_at >= :since and m.created_at < :until and m.customer <> :operational
           and (:customers::uuid[] is null or m.customer_id = any(:customers::uuid[])) as meant
      from anzol.message m
     where m.environment = :environment and m.id > :after and m.id <= :through
     order by m.id limit :most
),
counted as (
    select p.customer_id, p.event_type, count(*) as messages,
           sum((select count(*) from anzol.pending x where x.message_id = p.id)
             + (select count(*) from anzol.delivery d where d.message_id = p.id)) as deliveries
      from page p where p.meant group by p.customer_id, p.event_type
)
select (select id from page order by id desc limit 1), (select count(*) from page),
       (select json_agg(json_build_array(encode(uuid_send(customer_id), 'hex'), event_type, messages, deliveries))
          from counted)
