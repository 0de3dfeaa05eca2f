-- The next deliveries, message by message, and of each whether it is meant; a message that has none is a row as well.
select x.message_id, x.endpoint_id, coalesce(x.endpoint_id is not null and (
       select true from anzol.message m where m.id = x.message_id and m.environment = :environment
-- conditions
       ), false)
  from (select n.id as message_id, d.endpoint_id, d.state
          from (select n.id from anzol.message n
                 where n.customer_id = :customer_id
                   and n.id <= :after and n.id >= :through -- either way
                 order by n.id desc limit :each) n -- either way
          left join lateral (
               select p.endpoint_id, 0 as state from anzol.pending p
                where p.message_id = n.id
                  and (p.message_id, p.endpoint_id) < (:after, :after_endpoint) -- either way
                union all
               select d.endpoint_id, d.state from anzol.delivery d
                where d.message_id = n.id
                  and (d.message_id, d.endpoint_id) < (:after, :after_endpoint)) d on true -- either way
         order by n.id desc, d.endpoint_id desc nulls last limit :each) x -- either way
