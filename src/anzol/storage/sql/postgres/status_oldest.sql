-- The due time of the longest overdue delivery: of the first one of each lane that has anything to do, no more of them than
-- a bound. A free lane without a turn has nothing.
select min(d.due_at)
  from ((select x.endpoint_id from anzol.lane x where x.holder is not null and x.parked = 0 limit :bound)
         union all
        (select x.endpoint_id from anzol.lane x where x.holder is null and x.parked = 0 and x.turn_at is not null
          order by x.turn_at limit :bound)) l
 cross join lateral (
       select p.due_at from anzol.pending p
        where p.endpoint_id = l.endpoint_id and p.holder is null and not p.paused
        order by p.due_at, p.id limit 1) d
 cross join lateral (select e.environment from anzol.endpoint e where e.id = l.endpoint_id limit 1) e
 where d.due_at <= :now and e.environment = :environment
