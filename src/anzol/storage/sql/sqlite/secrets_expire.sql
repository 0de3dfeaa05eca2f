update anzol_endpoint_secret set expires_at = min(coalesce(expires_at, :until), :until) where endpoint = :endpoint
