select x.id, x.message_id, x.endpoint_id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at,
       x.resolve, x.connect, x.tls, x.first_byte, x.total, x.response_headers, x.response_body, x.id
  from anzol.attempt x
  join anzol.message m on m.id = x.message_id
 where m.environment = :environment and x.id < :before
-- conditions
 order by x.id desc limit :most
