delete from anzol_sweep where seq in (
    select seq from anzol_sweep where state <> 0 and updated_at < :before order by seq limit :most)
