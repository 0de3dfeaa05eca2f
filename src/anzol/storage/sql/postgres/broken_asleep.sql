select l.endpoint_id from anzol.lane l join anzol.next_due n on n.endpoint_id = l.endpoint_id
 where l.holder is null and l.parked = 0 and n.due_at is not null
   and (l.turn_at is null or l.turn_at > greatest(n.due_at, :now,
        case when l.circuit_open_until <= :now + :farthest::bigint then l.circuit_open_until end))
