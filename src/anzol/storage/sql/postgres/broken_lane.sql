select e.id from anzol.endpoint e left join anzol.lane l on l.endpoint_id = e.id
 where (e.deleted_at is null and (l.endpoint_id is null or (l.parked & 1 <> 0) <> (e.disabled is not null)))
    or (l.endpoint_id is not null and (l.parked & 4 <> 0) <> (e.deleted_at is not null))
    or (e.deleted_at is null and (l.parked & 2 <> 0) <> exists (
        select from anzol.pause_rule r
         where r.environment = e.environment and r.event_type is null
           and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint_id, e.id) = e.id))
