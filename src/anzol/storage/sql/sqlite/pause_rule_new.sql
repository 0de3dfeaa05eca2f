insert into anzol_pause_rule (id, environment, customer_id, event_type, endpoint, created_at, actor)
values (:id, :environment, :customer_id, :event_type, :endpoint, :now, :actor)
