select count(*)
  from anzol.pending p join anzol.endpoint e on e.id = p.endpoint_id
 where p.holder is not null and e.environment = :environment
