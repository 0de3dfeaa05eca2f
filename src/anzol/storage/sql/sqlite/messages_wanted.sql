update anzol_message set unwanted = 0 where seq in (select value from json_each(:messages)) and unwanted = 1
