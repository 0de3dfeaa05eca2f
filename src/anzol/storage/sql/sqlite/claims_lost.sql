update anzol_lane set holder = null, turn_at = null
