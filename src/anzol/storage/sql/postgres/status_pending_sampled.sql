-- As status_pending, in some of the table's pages, taken at random.
select count(*),
       count(*) filter (where l.mine),
       count(*) filter (where l.mine and p.holder is null and p.due_at <= :now and l.parked = 0 and not p.paused),
       count(*) filter (where l.mine and p.holder is null and (l.parked <> 0 or p.paused))
  from anzol.pending p tablesample system (:percent)
 cross join lateral (
       select e.environment = :environment as mine, y.parked
         from anzol.lane y join anzol.endpoint e on e.id = y.endpoint_id where y.endpoint_id = p.endpoint_id limit 1) l
