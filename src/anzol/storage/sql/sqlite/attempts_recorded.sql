-- Rows are numbered by the one writer, so their order is that in which they were recorded.
select x.seq, x.id, m.id, e.id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at, x.resolve,
       x.connect, x.tls, x.first_byte, x.total, x.response_headers, x.response_body
  from anzol_attempt x
  join anzol_message m on m.seq = x.message
  join anzol_endpoint e on e.seq = x.endpoint
 where x.seq > :after and m.environment = :environment and (:customer_id is null or m.customer_id = :customer_id)
 order by x.seq limit :most
