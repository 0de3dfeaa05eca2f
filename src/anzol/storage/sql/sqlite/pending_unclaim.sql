update anzol_pending set holder = null where id in (select value from json_each(:claims)) and holder = :me
