select json_group_array(endpoint) from anzol_lane where holder = :me
