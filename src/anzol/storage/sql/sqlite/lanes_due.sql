select json_group_array(endpoint) from (
    select endpoint from anzol_lane indexed by anzol_lane_due
     where holder is null and parked = 0 and turn_at is not null and turn_at <= :now
     order by turn_at limit :most)
