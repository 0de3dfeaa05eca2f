-- Also what is in flight: it waits if it fails.
update anzol_pending set paused = 1
 where paused = 0
   and exists (select 1 from anzol_message m join anzol_endpoint e on e.seq = anzol_pending.endpoint
                where m.seq = anzol_pending.message and m.environment = :environment and m.event_type = :event_type
                  and coalesce(:customer_id, e.customer_id) = e.customer_id and coalesce(:endpoint, e.seq) = e.seq)
