delete from anzol.audit where number = any(array(select number from anzol.audit where at < :before order by at limit :most))
