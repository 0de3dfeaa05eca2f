select m.event_type, m.created_at, m.channels, m.only_endpoint, m.customer_id,
       exists (select 1 from anzol_accepted o where o.customer_id = m.customer_id and o.message = m.seq)
  from anzol_message m where m.seq = :seq
