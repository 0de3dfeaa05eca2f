select x.id, m.id, e.id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at, x.resolve, x.connect,
       x.tls, x.first_byte, x.total, x.response_headers, x.response_body, x.seq
  from anzol_attempt x
  cross join anzol_message m on m.seq = x.message
  cross join anzol_endpoint e on e.seq = x.endpoint
 where m.environment = :environment
   and x.seq < :place -- either way
-- conditions
 order by x.seq desc limit :most -- either way
