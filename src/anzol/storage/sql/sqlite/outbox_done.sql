delete from anzol_outbox where id in (select value from json_each(:outbox))
