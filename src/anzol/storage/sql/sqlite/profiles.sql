-- What endpoint rows hold goes out as hexadecimal: one value that is no text would fail the JSON of all.
select json_group_array(json_array(
       hex(e.id), hex(e.customer_id), hex(c.uid), v.name, hex(e.url), hex(e.headers), hex(e.header_prefix),
       hex(e.throttle), e.fifo, hex(e.schedule), l.parked, l.failures, l.failing_since, l.circuit_open_until, l.circuit_step,
       (select min(s.expires_at) from anzol_endpoint_secret s where s.endpoint = e.seq and s.expires_at > :now),
       json((select json_group_array(json_array(s.id, hex(s.value))) from anzol_endpoint_secret s
              where s.endpoint = e.seq and (s.expires_at is null or s.expires_at > :now))),
       hex(c.throttle)))
  from json_each(:lanes) j
  cross join anzol_endpoint e on e.seq = j.value
  join anzol_lane l on l.endpoint = e.seq
  join anzol_environment v on v.id = e.environment
  left join anzol_customer c on c.id = e.customer_id
