-- A customer's attempts: the last ones of each of its endpoints, then the last of these.
select x.id, m.id, e.id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at, x.resolve, x.connect,
       x.tls, x.first_byte, x.total, x.response_headers, x.response_body, x.seq
  from anzol_endpoint own
  join anzol_attempt y on y.seq in (
       select x.seq from anzol_attempt x join anzol_message m on m.seq = x.message
        where x.endpoint = own.seq and m.environment = :environment and x.seq < :before
-- conditions
        order by x.seq desc limit :most)
  join anzol_attempt x on x.seq = y.seq
  join anzol_message m on m.seq = x.message
  join anzol_endpoint e on e.seq = x.endpoint
 where own.customer_id = :customer_id
 order by x.seq desc limit :most
