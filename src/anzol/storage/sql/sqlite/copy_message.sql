select m.seq, m.id, v.name, m.customer_id, m.customer, m.event_type, m.method, m.content_type, m.headers, m.query,
       m.channels, m.tags, m.key, m.deliver_at, m.only_endpoint, m.created_at, m.unwanted, m.body
  from anzol_message m join anzol_environment v on v.id = m.environment
 where m.seq > :after1 order by m.seq limit :most
