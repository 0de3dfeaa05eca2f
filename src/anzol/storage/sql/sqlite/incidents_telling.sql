update anzol_incident set telling_until = :until where id in (select value from json_each(:ids))
