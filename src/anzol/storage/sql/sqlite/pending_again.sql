-- Given back: due again then, or as it was.
update anzol_pending
   set holder = null,
       due_at = coalesce(json_extract(r.value, '$[1]'), due_at),
       step = json_extract(r.value, '$[2]'),
       attempt = json_extract(r.value, '$[3]'),
       manual = json_extract(r.value, '$[4]')
  from json_each(:rows) r where anzol_pending.id = json_extract(r.value, '$[0]')
