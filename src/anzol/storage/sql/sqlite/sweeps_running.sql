select 1 from anzol_sweep where state = 0 limit 1
