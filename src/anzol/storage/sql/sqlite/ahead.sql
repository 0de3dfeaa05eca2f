-- When the next free lane is due, or a held one is to be looked at again; and whether messages wait for fan-out.
select min(turn_at), exists (select 1 from anzol_accepted)
  from (select min(turn_at) as turn_at from anzol_lane indexed by anzol_lane_due
         where holder is null and parked = 0 and turn_at is not null
        union all
        select min(turn_at) from anzol_lane where holder = :me and turn_at is not null)
