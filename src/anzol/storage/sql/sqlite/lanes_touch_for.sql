-- The lanes of these pending rows are to be looked into when these are due.
update anzol_lane set turn_at = min(coalesce(turn_at, t.due_at), t.due_at)
  from (select p.endpoint, min(p.due_at) as due_at from json_each(:claims) j cross join anzol_pending p on p.id = j.value
         where p.paused = 0 group by p.endpoint) t
 where anzol_lane.endpoint = t.endpoint
