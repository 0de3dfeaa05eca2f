select d.message, d.endpoint, m.id, e.id, d.state, d.cause, d.attempts, d.ended_at
  from anzol_delivery d
  join anzol_endpoint e on e.seq = d.endpoint
  join anzol_message m on m.seq = d.message
 where (d.message, d.endpoint) > (:after1, :after2) order by d.message, d.endpoint limit :most
