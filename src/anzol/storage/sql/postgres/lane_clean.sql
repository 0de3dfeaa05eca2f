update anzol.lane
   set parked = parked & ~1, failures = 0, failing_since = null, circuit_open_until = null, circuit_step = 0
 where endpoint_id = :endpoint
