select x.id, m.id, e.id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at, x.resolve, x.connect,
       x.tls, x.first_byte, x.total, x.response_headers, x.response_body
  from anzol_attempt x
  join anzol_message m on m.seq = x.message
  join anzol_endpoint e on e.seq = x.endpoint
 where x.id = :id and m.environment = :environment
