-- Those that nobody is to be told of any more.
delete from anzol_incident
 where id in (select value from json_each(:ids)) and announced = 1 and telling_until = 9223372036854775807
