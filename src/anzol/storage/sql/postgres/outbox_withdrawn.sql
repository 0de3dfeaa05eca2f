delete from anzol.accepted where id = any(array(select id from anzol.accepted order by id limit :most))
