update anzol_lane set full = :full where endpoint in (select value from json_each(:lanes))
