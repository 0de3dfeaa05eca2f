select coalesce(sum(x.state = 1), 0), coalesce(sum(x.state = 2), 0), coalesce(sum(x.state = 3), 0)
  from anzol_message m indexed by anzol_message_customer
  cross join anzol_delivery x on x.message = m.seq
 where m.environment = :environment and m.seq between :least and :greatest
-- conditions
