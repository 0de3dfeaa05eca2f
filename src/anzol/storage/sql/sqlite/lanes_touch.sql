-- A free lane is due then; the holder of a held one looks again then.
update anzol_lane set turn_at = min(coalesce(turn_at, t.due_at), t.due_at)
  from (select json_extract(value, '$[0]') as endpoint, json_extract(value, '$[1]') as due_at from json_each(:lanes)) t
 where anzol_lane.endpoint = t.endpoint
