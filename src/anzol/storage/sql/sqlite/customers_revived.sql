update anzol_customer set deleted_at = null, created_at = :now
 where deleted_at is not null
   and id in (select m.customer_id from json_each(:messages) j cross join anzol_message m on m.seq = j.value)
