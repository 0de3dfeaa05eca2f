-- What a worker has claimed, locked in order.
select p.id, p.message_id, p.endpoint_id, p.attempt, p.manual, p.interruptions
  from anzol.lane l
  join anzol.pending p on p.endpoint_id = l.endpoint_id and p.holder = :me
 where l.holder = :me
 order by p.id
   for update of p
