-- The oldest messages from a place on, and whether each is old.
select id, created_at < :before from anzol.message where id > :after and id < :young order by id limit :most
