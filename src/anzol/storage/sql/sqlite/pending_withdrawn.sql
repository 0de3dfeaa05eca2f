delete from anzol_pending
