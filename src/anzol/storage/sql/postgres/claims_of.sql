-- What a worker has claimed, locked in order; but not found by going through all that is pending in that order.
select id, message_id, endpoint_id, attempt, manual, interruptions
  from anzol.pending
 where holder = :me
 order by id + 0
   for update
