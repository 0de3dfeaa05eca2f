-- Lanes are paused by the rules that hold back whole endpoints; those with an event type mark pending rows. A holder looks
-- again; what is free and parked by nothing any more is looked at by who asked.
update anzol.lane l
   set parked = l.parked # 2,
       turn_at = case when l.holder is not null then :now else l.turn_at end
  from (select e.id, exists (
               select 1 from anzol.pause_rule r
                where r.environment = e.environment and r.event_type is null
                  and coalesce(r.customer_id, e.customer_id) = e.customer_id
                  and coalesce(r.endpoint_id, e.id) = e.id) as paused
          from anzol.endpoint e where e.id = any(:lanes::uuid[])) j
 where l.endpoint_id = j.id and l.endpoint_id = any(:lanes::uuid[]) and (l.parked & 2 <> 0) <> j.paused
returning l.endpoint_id, l.holder, l.parked
