-- A customer's attempts: the last ones of each of its endpoints, then the last of these.
select x.id, m.id, e.id, x.number, x.outcome, x.status, x.detail, x.note, x.manual, x.started_at, x.resolve, x.connect,
       x.tls, x.first_byte, x.total, x.response_headers, x.response_body, x.seq
  from (select y.seq
          from anzol_endpoint own
          cross join anzol_attempt y on y.seq in (
               select x.seq from anzol_attempt x cross join anzol_message m on m.seq = x.message
                where x.endpoint = own.seq and m.environment = :environment
                  and x.seq < :place -- either way
-- conditions
                order by x.seq desc limit :most) -- either way
         where own.customer_id = :customer_id
         order by y.seq desc limit :most) k -- either way
  cross join anzol_attempt x on x.seq = k.seq
  cross join anzol_message m on m.seq = x.message
  cross join anzol_endpoint e on e.seq = x.endpoint
 order by x.seq desc -- either way
