delete from anzol_incident where id in (select value from json_each(:ids))
