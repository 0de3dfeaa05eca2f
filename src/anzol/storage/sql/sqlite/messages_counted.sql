-- The next messages: the last of them, how many they are, and of those that are meant how many each customer was sent of
-- each event type, with their deliveries.
with page as (
    select m.seq, m.customer_id, m.event_type,
           m.environment = :environment and m.created_at >= :since and m.created_at < :until and m.customer <> :operational
           and (:customers is null or lower(hex(m.customer_id)) in (select value from json_each(:customers))) as meant
      from anzol_message m where m.seq > :after order by m.seq limit :most
),
counted as (
    select p.customer_id, p.event_type, count(*) as messages,
           sum((select count(*) from anzol_pending x where x.message = p.seq)
             + (select count(*) from anzol_delivery d where d.message = p.seq)) as deliveries
      from page p where p.meant group by p.customer_id, p.event_type
)
select (select max(seq) from page), (select count(*) from page),
       (select json_group_array(json_array(lower(hex(customer_id)), event_type, messages, deliveries)) from counted)
