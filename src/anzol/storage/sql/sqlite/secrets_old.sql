delete from anzol_endpoint_secret where id in (
    select id from anzol_endpoint_secret where expires_at is not null and expires_at <= :now limit :most)
