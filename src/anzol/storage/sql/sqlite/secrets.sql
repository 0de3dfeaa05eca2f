select id, value, created_at, expires_at from anzol_endpoint_secret
 where endpoint = :endpoint and (expires_at is null or expires_at > :now) order by id desc
