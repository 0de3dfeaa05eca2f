-- The next messages of an endpoint's customer, in their order, and of each whether it is still to be fanned out, and whether
-- the endpoint wants it as it is subscribed now and has no delivery of it (the rule of anzol.subscription, whenever the
-- endpoint was made, and though it is disabled).
select n.id,
       exists (select from anzol.accepted a where a.customer_id = n.customer_id and a.message_id = n.id),
       case when n.wanted
       then not exists (select from anzol.pending p where p.message_id = n.id and p.endpoint_id = :endpoint)
        and not exists (select from anzol.delivery d where d.message_id = n.id and d.endpoint_id = :endpoint)
       else false end
  from (select m.id, m.customer_id,
               m.body is not null and m.created_at >= :since and m.created_at < :until
               and case when m.only_endpoint is not null then m.only_endpoint = e.id
                   else (e.event_types = '{}' or m.event_type = any(e.event_types))
                    and (e.channels = '{}' or e.channels && m.channels)
                   end as wanted
          from anzol.endpoint e join anzol.message m on m.customer_id = e.customer_id
         where e.id = :endpoint and m.id > :after and m.id <= :through
         order by m.id limit :most) n
 order by n.id
