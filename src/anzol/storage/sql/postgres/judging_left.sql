-- One that nobody is at.
select id from anzol.judging order by id limit 1 for update skip locked
