-- Only under the uid that was meant: what is sent while its customer is renamed is nobody else's.
update anzol_customer set deleted_at = null, created_at = :now, updated_at = :now
 where deleted_at is not null
   and (id, uid) in (select m.customer_id, m.customer from json_each(:messages) j cross join anzol_message m on m.seq = j.value)
