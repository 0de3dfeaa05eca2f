update anzol_incident set announced = 1 where id in (select value from json_each(:ids))
