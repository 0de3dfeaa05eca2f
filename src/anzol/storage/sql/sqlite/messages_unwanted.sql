update anzol_message set unwanted = 1 where seq in (select value from json_each(:messages))
