select lower(hex(c.id)), c.uid from anzol_customer c
 where c.environment = :environment and lower(hex(c.id)) in (select value from json_each(:customers))
