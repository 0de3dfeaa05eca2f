insert into anzol.judging (environment, customer_id, event_type, endpoint_id)
values (:environment, :customer_id, :event_type, :endpoint)
returning id
