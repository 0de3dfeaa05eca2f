-- From here on nobody makes it pending again.
select id from anzol.message where id = :id for update
