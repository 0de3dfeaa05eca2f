select json_group_array(json_array(id, endpoint)) from (
    select p.id, p.endpoint from json_each(:messages) j
      cross join anzol_pending p on p.message = j.value and p.holder is null
      join anzol_lane l on l.endpoint = p.endpoint
     where l.parked <> 0 or p.paused = 1 limit :most)
