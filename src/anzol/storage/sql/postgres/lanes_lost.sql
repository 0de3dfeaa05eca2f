update anzol.lane set parked = parked | 1, turn_at = :now
