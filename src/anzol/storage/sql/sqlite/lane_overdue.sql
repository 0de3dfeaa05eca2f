select 1 from anzol_lane indexed by anzol_lane_due
 where holder is null and parked = 0 and turn_at is not null and turn_at <= :now limit 1
