-- Those that nobody is to be told of any more.
delete from anzol.incident where id = any(:ids::bigint[]) and announced and telling_until = 9223372036854775807
