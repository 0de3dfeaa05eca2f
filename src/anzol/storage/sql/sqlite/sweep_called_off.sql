update anzol_sweep set state = :state, holder = null, held_until = null, updated_at = :now
 where id = :id and environment = :environment and state = 0
