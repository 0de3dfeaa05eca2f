-- Parked: what no worker will try until somebody enables or resumes something.
select count(*),
       coalesce(sum(p.holder is null and p.due_at <= :now and l.parked = 0 and p.paused = 0), 0),
       coalesce(sum(p.holder is null and (l.parked <> 0 or p.paused = 1)), 0),
       coalesce(sum(p.holder is not null), 0),
       min(case when p.holder is null and p.due_at <= :now and l.parked = 0 and p.paused = 0 then p.due_at end)
  from anzol_endpoint e
  join anzol_lane l on l.endpoint = e.seq
  join anzol_pending p on p.endpoint = e.seq
 where e.environment = :environment
