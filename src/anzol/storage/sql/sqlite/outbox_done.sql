delete from anzol_accepted where id in (select value from json_each(:outbox))
