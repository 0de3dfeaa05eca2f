-- The next messages of an endpoint's customer, in their order, and of each whether the endpoint wants it as it is subscribed
-- now and has no delivery of it (the rule of anzol.subscription, whenever the endpoint was made, and though it is disabled).
select m.seq, m.deliver_at,
       m.body is not null and m.created_at >= :since and m.created_at < :until
       and case when m.only_endpoint is not null then m.only_endpoint = e.id
           else (e.event_types = '[]' or exists (select 1 from json_each(e.event_types) t where t.value = m.event_type))
            and (e.channels = '[]' or exists (select 1 from json_each(e.channels) a
                                                join json_each(m.channels) b on b.value = a.value))
           end
       and not exists (select 1 from anzol_pending p where p.message = m.seq and p.endpoint = e.seq)
       and not exists (select 1 from anzol_delivery d where d.message = m.seq and d.endpoint = e.seq)
  from anzol_endpoint e cross join anzol_message m on m.customer_id = e.customer_id
 where e.seq = :endpoint and m.seq > :after
 order by m.seq limit :most
