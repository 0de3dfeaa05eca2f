-- Locked, in order. A rule names a customer, an endpoint, or everything.
select l.endpoint_id
  from anzol.endpoint e join anzol.lane l on l.endpoint_id = e.id
 where e.environment = :environment and e.deleted_at is null
-- conditions
 order by l.endpoint_id for update of l
