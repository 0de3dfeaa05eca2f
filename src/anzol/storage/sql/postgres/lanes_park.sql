-- A holder looks again and sees that it is parked.
update anzol.lane set parked = parked | :flag, turn_at = :now where endpoint_id = any(:lanes::uuid[]) returning holder
