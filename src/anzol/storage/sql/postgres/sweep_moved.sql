update anzol.sweep
   set place = :place, changed = changed + :changed, result = :result, state = :state, error = :error,
       holder = case when :state::smallint = 0 then :me::bigint end,
       held_until = case when :state::smallint = 0 then :now + :term::bigint end,
       updated_at = :now
 where id = :id
