select p.id
  from anzol.pending p join anzol.lane l on l.endpoint_id = p.endpoint_id
 where p.message_id = any(:messages::uuid[]) and p.holder is null and (l.parked <> 0 or p.paused) limit :most
