select 1 from anzol.sweep where state = 0 and holder = :me limit 1
