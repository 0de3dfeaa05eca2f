-- The first of each FIFO lane, if it is due; the last number: 1 one is in flight, 2 others wait behind it, added up.
select json_group_array(json_array(p.id, p.endpoint, p.due_at, p.message, p.attempt, p.step, p.manual,
       (exists (select 1 from anzol_pending y where y.endpoint = l.endpoint and y.holder is not null))
       + 2 * exists (select 1 from anzol_pending y where y.endpoint = l.endpoint and y.holder is null and y.id > p.id)))
  from json_each(:lanes) j
  cross join anzol_lane l on l.endpoint = j.value and l.holder = :me and l.parked = 0
  join anzol_endpoint e on e.seq = l.endpoint and e.fifo = 1
  join anzol_pending p on p.id = (
       select x.id from anzol_pending x indexed by anzol_pending_lane
        where x.endpoint = l.endpoint and x.holder is null
        order by x.id limit 1)
 where p.paused = 0 and p.due_at <= :now
