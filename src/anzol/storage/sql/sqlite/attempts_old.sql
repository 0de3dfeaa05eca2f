delete from anzol_attempt where seq in (select seq from anzol_attempt order by seq limit :most) and started_at < :before
