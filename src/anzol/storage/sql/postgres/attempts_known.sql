-- Which of these attempts are recorded.
select id from anzol.attempt where id = any(:attempts::uuid[])
