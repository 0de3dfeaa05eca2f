update anzol_pending set holder = :me where id in (select value from json_each(:claims)) and holder is null
