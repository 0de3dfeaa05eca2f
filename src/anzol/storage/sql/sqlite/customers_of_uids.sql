select lower(hex(id)) from anzol_customer
 where environment = :environment and uid in (select value from json_each(:uids)) and deleted_at is null
