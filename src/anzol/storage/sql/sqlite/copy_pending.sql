select p.id, p.id, e.id, m.id, p.due_at, p.attempt, p.step, p.manual, p.interruptions, p.paused
  from anzol_pending p
  join anzol_endpoint e on e.seq = p.endpoint
  join anzol_message m on m.seq = p.message
 where p.id > :after1 order by p.id limit :most
