-- Of these customers those with a throttle, and what was granted last.
with asked (id) as (values
(?)
)
select json_group_array(json_array(hex(c.id), c.throttle, c.granted_until, c.granted_to))
  from asked a cross join anzol_customer c on c.id = a.id
 where c.throttle is not null
