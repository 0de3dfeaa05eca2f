delete from anzol_accepted
