select l.endpoint_id from anzol.lane l
 where l.holder is not null and not exists (select from anzol.worker w where w.id = l.holder)
