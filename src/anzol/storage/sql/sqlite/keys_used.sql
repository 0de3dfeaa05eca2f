-- Which of the given keys are taken, and by what.
with asked (place, customer_id, key) as (values
(?, ?, ?)
)
select json_group_array(json_array(a.place, hex(k.message_id), hex(k.digest)))
  from asked a cross join anzol_message_key k on k.customer_id = a.customer_id and k.key = a.key
