select e.seq from anzol_endpoint e left join anzol_lane l on l.endpoint = e.seq
 where (e.deleted_at is null and (l.endpoint is null or (l.parked & 1 <> 0) <> (e.disabled is not null)))
    or (l.endpoint is not null and (l.parked & 4 <> 0) <> (e.deleted_at is not null))
    or (e.deleted_at is null and (l.parked & 2 <> 0) <> exists (
        select 1 from anzol_pause_rule r
         where r.environment = e.environment and r.event_type is null
           and coalesce(r.customer_id, e.customer_id) = e.customer_id and coalesce(r.endpoint, e.seq) = e.seq))
