update anzol_sweep
   set place = :place, changed = changed + :changed, result = :result, state = :state, error = :error,
       holder = case when :state = 0 then :me end, held_until = case when :state = 0 then :now + :term end,
       updated_at = :now
 where seq = :seq
