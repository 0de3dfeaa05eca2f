delete from anzol.pause_rule
 where environment = :environment
   and customer_id is not distinct from :customer_id
   and event_type is not distinct from :event_type
   and endpoint_id is not distinct from :endpoint
