delete from anzol_worker
