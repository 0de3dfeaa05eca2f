update anzol_lane set holder = :me, turn_at = null where endpoint in (select value from json_each(:lanes))
