update anzol.incident set telling_until = 9223372036854775807
 where id = any(array(select id from anzol.incident where id = any(:ids::bigint[]) order by id for update))
