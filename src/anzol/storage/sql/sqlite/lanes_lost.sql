update anzol_lane set parked = parked | 1, turn_at = :now
