-- A held lane: its holder looks again now. A free one: due when its next delivery is, at the tail. The lanes are locked
-- by a statement before this one, whose pending rows are as of then: what comes later touches them itself.
update anzol.lane l
   set turn_at = case when l.holder is not null then :now
                      when d.due_at is not null then greatest(d.due_at, :now) end
  from unnest(:lanes::uuid[]) as g (endpoint_id)
 cross join lateral (select x.ctid from anzol.lane x where x.endpoint_id = g.endpoint_id offset 0) x
  left join lateral (select n.due_at from anzol.next_due n where n.endpoint_id = g.endpoint_id) d on true
 where l.ctid = x.ctid -- its place stays: it is locked
returning l.holder, l.parked = 0 and l.turn_at is not null
