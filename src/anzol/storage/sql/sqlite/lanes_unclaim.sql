-- What is still claimed in lanes that are given back becomes as it was.
update anzol_pending set holder = null
 where endpoint in (select value from json_each(:lanes)) and holder = :me
