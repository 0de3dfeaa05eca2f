select json_group_array(json_array(
       p.id, p.endpoint, p.message, p.attempt, p.step, p.manual, p.interruptions, hex(e.id), hex(m.id)))
  from anzol_lane l
  join anzol_pending p on p.endpoint = l.endpoint and p.holder = :me
  join anzol_endpoint e on e.seq = p.endpoint
  join anzol_message m on m.seq = p.message
 where l.holder = :me
