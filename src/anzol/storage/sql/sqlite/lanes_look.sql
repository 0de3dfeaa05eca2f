-- A held lane: its holder looks again now. A free one: due when its next delivery is, at the tail.
update anzol_lane
   set turn_at = case when holder is null
                 then max((select n.due_at from anzol_next_due n where n.endpoint = anzol_lane.endpoint), :now)
                 else :now end
 where endpoint in (select value from json_each(:lanes))
