delete from anzol.pending where id = any(array(
    select id from anzol.pending where message_id = any(:messages::uuid[]) and holder is null
     order by id limit :most for update))
