select id, value, created_at, expires_at from anzol.endpoint_secret
 where endpoint_id = :endpoint and (expires_at is null or expires_at > :now) order by id desc
