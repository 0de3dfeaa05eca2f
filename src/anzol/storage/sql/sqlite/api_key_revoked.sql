update anzol_api_key set revoked_at = coalesce(revoked_at, :now) where id = :id and environment = :environment
returning name
