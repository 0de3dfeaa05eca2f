delete from anzol_audit where seq in (select seq from anzol_audit where at < :before order by at limit :most)
