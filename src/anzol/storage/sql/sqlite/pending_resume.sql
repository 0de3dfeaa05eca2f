-- What no other rule holds back.
update anzol_pending set paused = 0
 where paused = 1
   and exists (select 1 from anzol_message m join anzol_endpoint e on e.seq = anzol_pending.endpoint
                where m.seq = anzol_pending.message and m.environment = :environment and m.event_type = :event_type
                  and coalesce(:customer_id, e.customer_id) = e.customer_id and coalesce(:endpoint, e.seq) = e.seq
                  and not exists (select 1 from anzol_pause_rule r
                                   where r.environment = m.environment and r.event_type = m.event_type
                                     and coalesce(r.customer_id, e.customer_id) = e.customer_id
                                     and coalesce(r.endpoint, e.seq) = e.seq))
