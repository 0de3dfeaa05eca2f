select json_group_array(hex(id)) from anzol_message where id in (values
(?)
)
