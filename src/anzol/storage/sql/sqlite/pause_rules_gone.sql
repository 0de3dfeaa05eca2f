delete from anzol_pause_rule
 where environment = :environment and customer_id is :customer_id and event_type is :event_type and endpoint is :endpoint
