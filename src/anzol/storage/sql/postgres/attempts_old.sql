-- The oldest from a place on: where the last piece ended, since what it removed still lies there until it is vacuumed.
delete from anzol.attempt
 where id = any(array(select id from anzol.attempt where id > :after order by id limit :most)) and started_at < :before
returning id
