-- Since when the free lane that waits longest is due.
select turn_at from anzol_lane indexed by anzol_lane_due
 where holder is null and parked = 0 and turn_at is not null and turn_at <= :now order by turn_at limit 1
