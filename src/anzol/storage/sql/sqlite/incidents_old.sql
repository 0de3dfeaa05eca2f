-- That nobody was ever told of; their numbers are given in the order of time.
delete from anzol_incident where id in (
    select x.id from (select id, at from anzol_incident order by id limit :most) x where x.at < :before)
