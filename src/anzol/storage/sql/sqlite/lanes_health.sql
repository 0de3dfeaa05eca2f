update anzol_lane
   set failures = json_extract(r.value, '$[1]'),
       failing_since = json_extract(r.value, '$[2]'),
       circuit_open_until = json_extract(r.value, '$[3]'),
       circuit_step = json_extract(r.value, '$[4]')
  from json_each(:rows) r where anzol_lane.endpoint = json_extract(r.value, '$[0]')
