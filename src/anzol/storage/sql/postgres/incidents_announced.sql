update anzol.incident set announced = true
 where id = any(array(select id from anzol.incident where id = any(:ids::bigint[]) order by id for update))
