-- The highest number a table has given out.
select seq from sqlite_sequence where name = :table
