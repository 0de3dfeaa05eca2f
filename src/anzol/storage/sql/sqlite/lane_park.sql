-- A holder looks again and sees that it is parked.
update anzol_lane set parked = parked | :flag, turn_at = :now where endpoint = :endpoint
