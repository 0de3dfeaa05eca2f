-- Parked: what no worker will try until somebody enables or resumes something.
select count(*),
       count(*) filter (where p.holder is null and p.due_at <= :now and l.parked = 0 and not p.paused),
       count(*) filter (where p.holder is null and (l.parked <> 0 or p.paused)),
       count(*) filter (where p.holder is not null),
       min(p.due_at) filter (where p.holder is null and p.due_at <= :now and l.parked = 0 and not p.paused)
  from anzol.endpoint e
  join anzol.lane l on l.endpoint_id = e.id
  join anzol.pending p on p.endpoint_id = e.id
 where e.environment = :environment
