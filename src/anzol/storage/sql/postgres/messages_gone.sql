delete from anzol.message where id = any(:messages::uuid[])
