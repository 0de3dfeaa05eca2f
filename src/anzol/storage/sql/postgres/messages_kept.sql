-- Nobody erases these meanwhile.
select id from anzol.message where id = any(:messages::uuid[]) and body is not null order by id for key share
