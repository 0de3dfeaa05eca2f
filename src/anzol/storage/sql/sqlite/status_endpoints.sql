select coalesce(sum(e.disabled is null and l.failing_since is not null), 0), coalesce(sum(e.disabled is not null), 0)
  from anzol_endpoint e join anzol_lane l on l.endpoint = e.seq
 where e.environment = :environment and e.deleted_at is null
