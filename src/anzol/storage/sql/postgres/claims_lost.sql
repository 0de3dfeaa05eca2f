update anzol.lane set holder = null, turn_at = null where holder is not null or turn_at is not null
