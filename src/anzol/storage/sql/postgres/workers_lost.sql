delete from anzol.worker
