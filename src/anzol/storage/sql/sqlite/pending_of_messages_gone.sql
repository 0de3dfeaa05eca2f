delete from anzol_pending where message in (select value from json_each(:messages))
