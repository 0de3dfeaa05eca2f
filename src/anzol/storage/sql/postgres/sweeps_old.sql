delete from anzol.sweep where id = any(array(
    select id from anzol.sweep where state <> 0 and updated_at < :before order by number limit :most))
