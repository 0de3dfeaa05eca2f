update anzol.endpoint_secret
   set expires_at = least(expires_at, :now + :keep)
 where endpoint_id = :endpoint
