select l.endpoint, e.id, l.turn_at, l.parked, l.failures, l.failing_since, l.circuit_open_until, l.circuit_step, l.full
  from anzol_lane l join anzol_endpoint e on e.seq = l.endpoint
 where l.endpoint > :after1 order by l.endpoint limit :most
