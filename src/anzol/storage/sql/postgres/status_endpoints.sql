select count(*) filter (where e.disabled is null and l.failing_since is not null),
       count(*) filter (where e.disabled is not null)
  from anzol.endpoint e join anzol.lane l on l.endpoint_id = e.id
 where e.environment = :environment and e.deleted_at is null
