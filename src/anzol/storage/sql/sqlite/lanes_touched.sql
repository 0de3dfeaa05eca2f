select json_group_array(endpoint) from anzol_lane where holder = :me and turn_at <= :now
