delete from anzol_message where seq in (select value from json_each(:messages))
