select m.id, coalesce(c.uid, m.customer), m.event_type, m.method, m.content_type, m.body, m.headers, m.query,
       m.channels, m.tags, m.key, m.deliver_at, m.created_at, m.seq
  from json_each(:messages) j
  cross join anzol_message m on m.seq = j.value
  left join anzol_customer c on c.id = m.customer_id
