-- As messages_keys, of one customer.
select m.id, coalesce(m.environment = :environment
-- conditions
       , false)
  from anzol.message m
 where m.customer_id = :customer_id
   and m.id < :after and m.id >= :through -- either way
 order by m.id desc limit :each -- either way
