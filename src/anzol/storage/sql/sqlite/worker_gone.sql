delete from anzol_worker where id = :me
