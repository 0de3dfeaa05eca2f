-- Of these endpoints the lanes held by the worker, and whether the endpoint is disabled.
with asked (id) as (values
(?)
)
select json_group_array(json_array(e.seq, hex(e.id), coalesce(e.disabled, case when l.parked >= 4 then 0 end)))
  from asked a cross join anzol_endpoint e on e.id = a.id join anzol_lane l on l.endpoint = e.seq
 where l.holder = ?
