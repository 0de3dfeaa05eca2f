-- max(null, x) is null: a lane with nothing pending has no turn. While its circuit is open it has none either.
update anzol_lane
   set holder = null,
       turn_at = max((select n.due_at from anzol_next_due n where n.endpoint = anzol_lane.endpoint), :now,
                     coalesce(circuit_open_until, 0))
 where endpoint in (select value from json_each(:lanes)) and holder = :me
