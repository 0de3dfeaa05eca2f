select json_group_array(id) from (
    select p.id from anzol_lane l indexed by anzol_lane_deleted
      join anzol_pending p on p.endpoint = l.endpoint and p.holder is null
     where l.parked >= 4 limit :most)
