-- max(null, x) is null: a lane with nothing pending has no turn. While its circuit is open it has none either;
-- one that is open for longer than can be comes of a clock that was set back, and does not count.
update anzol_lane
   set holder = null,
       turn_at = max((select n.due_at from anzol_next_due n where n.endpoint = anzol_lane.endpoint), :now,
                     case when circuit_open_until <= :now + :farthest then circuit_open_until else 0 end)
 where endpoint in (select value from json_each(:lanes)) and holder = :me
