select json_group_array(json_array(
       hex(e.id), hex(e.customer_id), c.uid, v.name, e.url, hex(e.headers), e.header_prefix, e.throttle, e.fifo,
       e.schedule, l.parked, l.failures, l.failing_since, l.circuit_open_until, l.circuit_step,
       (select min(s.expires_at) from anzol_endpoint_secret s where s.endpoint = e.seq and s.expires_at > :now),
       json((select json_group_array(json_array(s.id, hex(s.value))) from anzol_endpoint_secret s
              where s.endpoint = e.seq and (s.expires_at is null or s.expires_at > :now))),
       c.throttle))
  from json_each(:lanes) j
  cross join anzol_endpoint e on e.seq = j.value
  join anzol_lane l on l.endpoint = e.seq
  join anzol_environment v on v.id = e.environment
  left join anzol_customer c on c.id = e.customer_id
