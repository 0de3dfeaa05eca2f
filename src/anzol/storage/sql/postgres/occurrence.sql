select m.event_type, m.created_at, m.channels, m.only_endpoint, m.customer_id,
       exists (select 1 from anzol.accepted o where o.customer_id = m.customer_id and o.message_id = m.id)
  from anzol.message m where m.id = :id and m.environment = :environment
