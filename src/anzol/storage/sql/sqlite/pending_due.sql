-- What is due in lanes without an order, the longest due first; no more than asked of each.
select json_group_array(json_array(p.id, p.endpoint, p.due_at, p.message, p.attempt, p.step, p.manual, 0))
  from json_each(:lanes) j
  cross join anzol_lane l on l.endpoint = j.value and l.holder = :me and l.parked = 0
  join anzol_endpoint e on e.seq = l.endpoint and e.fifo = 0
  join anzol_pending p on p.id in (
       select x.id from anzol_pending x indexed by anzol_pending_due
        where x.endpoint = l.endpoint and x.holder is null and x.paused = 0 and x.due_at <= :now
        order by x.due_at, x.id limit :most)
