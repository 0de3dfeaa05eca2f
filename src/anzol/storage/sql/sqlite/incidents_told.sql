update anzol_incident set telling_until = 9223372036854775807 where id in (select value from json_each(:ids))
