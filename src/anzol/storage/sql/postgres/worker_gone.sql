delete from anzol.worker where id = :me
