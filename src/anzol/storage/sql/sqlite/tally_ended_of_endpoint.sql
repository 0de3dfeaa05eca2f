select coalesce(sum(x.state = 1), 0), coalesce(sum(x.state = 2), 0), coalesce(sum(x.state = 3), 0)
  from anzol_delivery x indexed by anzol_delivery_endpoint
  cross join anzol_message m on m.seq = x.message
 where m.environment = :environment and x.message between :least and :greatest
-- conditions
