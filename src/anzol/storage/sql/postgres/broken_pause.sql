-- What is yet to be judged anew, since a rule was made or taken back, may be either.
select p.id from anzol.pending p
  join anzol.message m on m.id = p.message_id
  join anzol.endpoint e on e.id = p.endpoint_id
 where e.deleted_at is null
   and p.paused <> exists (
       select from anzol.pause_rule r
        where r.environment = m.environment and r.event_type = m.event_type
          and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id)
   and not exists (
       select from anzol.judging j
        where j.environment = m.environment and j.event_type = m.event_type
          and coalesce(j.customer_id, e.customer_id) = e.customer_id and coalesce(j.endpoint_id, e.id) = e.id
          and (p.endpoint_id, p.id) > (j.after_endpoint, j.after_pending))
