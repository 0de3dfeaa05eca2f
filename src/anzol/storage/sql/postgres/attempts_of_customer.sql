-- A customer's attempts: the last ones of each of its endpoints, then the last of these.
select x.id, x.message_id, x.endpoint_id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at,
       x.resolve, x.connect, x.tls, x.first_byte, x.total, x.response_headers, x.response_body, x.id
  from anzol.endpoint own
 cross join lateral (
       select x.* from anzol.attempt x join anzol.message m on m.id = x.message_id
        where x.endpoint_id = own.id and m.environment = :environment and x.id < :before
-- conditions
        order by x.id desc limit :most) x
 where own.customer_id = :customer_id
 order by x.id desc limit :most
