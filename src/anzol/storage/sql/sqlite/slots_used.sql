-- Which of the given slots are taken, and by what.
select json_group_array(json_array(j.value, hex(k.message_id), hex(k.digest)))
  from json_each(:slots) j cross join anzol_message_key k on k.customer_id = x'00000000000000000000000000000000' and k.key = j.value
