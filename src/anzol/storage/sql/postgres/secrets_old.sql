delete from anzol.endpoint_secret where id = any(array(
    select id from anzol.endpoint_secret where expires_at is not null and expires_at <= :now limit :most))
