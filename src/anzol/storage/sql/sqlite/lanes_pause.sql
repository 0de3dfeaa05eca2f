-- Lanes are paused by the rules that hold back whole endpoints; those with an event type mark pending rows.
update anzol_lane
   set parked = (parked & ~2) | 2 * exists (
       select 1 from anzol_endpoint e join anzol_pause_rule r on r.environment = e.environment and r.event_type is null
        where e.seq = anzol_lane.endpoint
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint, e.seq) = e.seq)
 where endpoint in (select value from json_each(:scope))
