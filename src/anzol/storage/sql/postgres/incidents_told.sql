delete from anzol.incident where id = any(:ids::bigint[])
