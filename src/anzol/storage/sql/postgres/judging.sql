select id, environment, customer_id, event_type, endpoint_id, after_endpoint, after_pending
  from anzol.judging where id = :id for update
