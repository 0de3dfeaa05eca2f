-- A page that is under way is waited for: it is done.
update anzol.sweep set state = :state, holder = null, held_until = null, updated_at = :now
 where id = :id and environment = :environment and state = 0
