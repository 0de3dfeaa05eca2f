-- Claims become as they were; locked before.
update anzol.pending set holder = null where id = any(:claims::bigint[])
