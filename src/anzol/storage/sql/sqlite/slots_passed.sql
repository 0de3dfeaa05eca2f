-- Of the given slots, those that are remembered no longer are free.
delete from anzol_message_key
 where customer_id = x'00000000000000000000000000000000' and key in (select value from json_each(:slots)) and created_at <= :before
