select m.id, coalesce(c.uid, m.customer), m.event_type, m.method, m.content_type, m.body, m.headers, m.query,
       to_json(m.channels), to_json(m.tags), m.key, m.deliver_at, m.created_at, m.id
  from anzol.message m left join anzol.customer c on c.id = m.customer_id
 where m.environment = :environment and m.id < :before
-- conditions
 order by m.id desc limit :most
