select json_group_array(json_array(
       p.id, p.endpoint, p.message, p.attempt, p.step, p.manual, p.interruptions, hex(e.id), hex(m.id)))
  from json_each(:claims) j
  cross join anzol_pending p on p.id = j.value and p.holder = :me
  join anzol_endpoint e on e.seq = p.endpoint
  join anzol_message m on m.seq = p.message
