delete from anzol_pending where id in (select value from json_each(:claims))
