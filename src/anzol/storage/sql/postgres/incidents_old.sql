-- That nobody was ever told of; their numbers are given in the order of time.
delete from anzol.incident where id = any(array(
    select x.id from (select id, at from anzol.incident order by id limit :most) x where x.at < :before))
