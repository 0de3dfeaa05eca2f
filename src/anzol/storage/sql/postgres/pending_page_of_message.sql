-- As pending_page, of one message.
select x.id, x.endpoint_id, coalesce(m.environment = :environment
-- conditions
       , false)
  from anzol.pending x
  left join anzol.message m on m.id = x.message_id
 where x.message_id = :message and (x.endpoint_id, x.id) > (:after_endpoint, :after)
 order by x.endpoint_id, x.id limit :most
