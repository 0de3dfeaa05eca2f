select l.endpoint from anzol_lane l join anzol_next_due n on n.endpoint = l.endpoint
 where l.holder is null and l.parked = 0 and n.due_at is not null
   and (l.turn_at is null or l.turn_at > max(n.due_at, :now,
        case when l.circuit_open_until <= :now + :farthest then l.circuit_open_until else 0 end))
