delete from anzol.judging where id = :id
