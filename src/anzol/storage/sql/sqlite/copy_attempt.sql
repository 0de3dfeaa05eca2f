select a.seq, a.id, m.id, e.id, a.number, a.outcome, a.status, a.detail, a.note, a.manual, a.started_at, a.resolve,
       a.connect, a.tls, a.first_byte, a.total, a.response_headers, a.response_body
  from anzol_attempt a
  join anzol_endpoint e on e.seq = a.endpoint
  join anzol_message m on m.seq = a.message
 where a.seq > :after1 order by a.seq limit :most
