select x.id, x.message_id, x.endpoint_id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at,
       x.resolve, x.connect, x.tls, x.first_byte, x.total, x.response_headers, x.response_body
  from anzol.attempt x
 where x.id = :id and exists (select from anzol.message m where m.id = x.message_id and m.environment = :environment)
