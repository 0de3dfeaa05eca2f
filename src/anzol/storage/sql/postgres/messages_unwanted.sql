-- Nobody gets these: they are kept for a shorter time.
update anzol.message set unwanted = true where id = any(:messages::uuid[])
