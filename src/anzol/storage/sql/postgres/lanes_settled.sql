-- Lanes after results: a turn no later than what goes on in them is due, how they stand if the worker holds them, and
-- parked if their endpoint was disabled: its holder looks again.
with locked as materialized (
    select endpoint_id from anzol.lane where endpoint_id = any(:lanes::uuid[]) order by endpoint_id for update
)
update anzol.lane l
   set turn_at = case when g.disabled then :now else least(l.turn_at, g.due_at) end,
       parked = (l.parked | case when g.disabled then 1 else 0 end)::smallint,
       failures = case when g.failures is not null and l.holder = :me then g.failures else l.failures end,
       failing_since = case when g.failures is not null and l.holder = :me then g.failing_since else l.failing_since end,
       circuit_open_until = case when g.failures is not null and l.holder = :me then g.open_until
                                 else l.circuit_open_until end,
       circuit_step = case when g.failures is not null and l.holder = :me then g.step else l.circuit_step end
  from unnest(:lanes::uuid[], :dues::bigint[], :failures::int[], :since::bigint[], :open_until::bigint[], :steps::int[],
              :disabled::boolean[])
       as g (endpoint_id, due_at, failures, failing_since, open_until, step, disabled)
 where l.endpoint_id = any(array(select endpoint_id from locked)) and g.endpoint_id = l.endpoint_id
