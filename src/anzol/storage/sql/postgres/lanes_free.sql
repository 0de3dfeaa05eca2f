-- Frees lanes, locked by a statement before: what was written until then is seen. One with nothing pending has no turn;
-- while its circuit is open it has none either. A circuit open for longer than can be comes of a clock that was set
-- back, and does not count.
update anzol.lane l
   set holder = null,
       turn_at = (select greatest(n.due_at, :now,
                                  case when l.circuit_open_until <= :now + :farthest::bigint then l.circuit_open_until end)
                    from anzol.next_due n where n.endpoint_id = l.endpoint_id and n.due_at is not null)
 where l.endpoint_id = any(:lanes::uuid[]) and l.holder = :me
