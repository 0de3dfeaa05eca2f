-- From here on nobody makes one of these pending again.
select id from anzol.message where id = any(:messages::uuid[]) order by id for update skip locked
