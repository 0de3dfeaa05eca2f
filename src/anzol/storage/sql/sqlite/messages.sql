select m.id, coalesce(c.uid, m.customer), m.event_type, m.method, m.content_type, m.body, m.headers, m.query,
       m.channels, m.tags, m.key, m.deliver_at, m.created_at, m.seq
  from anzol_message m left join anzol_customer c on c.id = m.customer_id
 where m.environment = :environment
   and m.seq < :place -- either way
-- conditions
 order by m.seq desc limit :most -- either way
