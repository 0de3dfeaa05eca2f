select json_group_array(json_array(seq, hex(id))) from anzol_endpoint where seq in (select value from json_each(:seqs))
