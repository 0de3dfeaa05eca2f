select x.id, x.endpoint
  from json_each(:page) j
  cross join anzol_pending x on x.id = j.value
  join anzol_message m on m.seq = x.message
 where m.environment = :environment
-- conditions
 order by x.id limit :most
