-- How many deliveries are pending, counted no further than a bound, and of this environment's: how many, due, parked (what
-- no worker will try until somebody enables or resumes something).
select count(*),
       count(*) filter (where l.mine),
       count(*) filter (where l.mine and p.holder is null and p.due_at <= :now and l.parked = 0 and not p.paused),
       count(*) filter (where l.mine and p.holder is null and (l.parked <> 0 or p.paused))
  from (select x.* from anzol.pending x order by x.id limit :bound) p
 cross join lateral (
       select e.environment = :environment as mine, y.parked
         from anzol.lane y join anzol.endpoint e on e.id = y.endpoint_id where y.endpoint_id = p.endpoint_id limit 1) l
