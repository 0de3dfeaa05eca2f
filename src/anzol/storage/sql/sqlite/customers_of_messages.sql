-- A customer of a first use: its row is made here, so that no sender waits for another.
insert or ignore into anzol_customer (id, environment, uid, created_at, updated_at)
select m.customer_id, m.environment, m.customer, :now, :now
  from json_each(:messages) j cross join anzol_message m on m.seq = j.value
