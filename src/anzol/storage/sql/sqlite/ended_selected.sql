select x.message, x.endpoint, x.attempts
  from json_each(:page) j
  cross join anzol_delivery x on x.message = json_extract(j.value, '$[0]') and x.endpoint = json_extract(j.value, '$[1]')
  join anzol_message m on m.seq = x.message
  join anzol_endpoint e on e.seq = x.endpoint
 where m.environment = :environment and m.body is not null and e.deleted_at is null
-- conditions
 order by x.message, x.endpoint limit :most
