-- Put back while a rule with an event type holds it back: it waits too.
update anzol_pending set paused = 1
 where id in (select value from json_each(:pending))
   and exists (select 1 from anzol_message m join anzol_endpoint e on e.seq = anzol_pending.endpoint
                 join anzol_pause_rule r on r.environment = m.environment and r.event_type = m.event_type
                where m.seq = anzol_pending.message
                  and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint, e.seq) = e.seq)
