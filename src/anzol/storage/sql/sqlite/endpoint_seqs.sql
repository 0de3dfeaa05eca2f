select json_group_array(json_array(seq, hex(id))) from anzol_endpoint where id in (values
(?)
)
