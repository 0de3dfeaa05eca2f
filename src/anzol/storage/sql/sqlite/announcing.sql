-- Of these endpoints those whose incidents are announced.
select json_group_array(e.seq)
  from json_each(:endpoints) j
  cross join anzol_endpoint e on e.seq = j.value
  join anzol_operational o on o.environment = e.environment and o.customer_id <> e.customer_id
