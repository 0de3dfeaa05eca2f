insert into anzol.pause_rule (environment, customer_id, event_type, endpoint_id, created_at, actor)
values (:environment, :customer_id, :event_type, :endpoint, :now, :actor)
returning id
