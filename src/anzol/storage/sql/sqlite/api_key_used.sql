update anzol_api_key set used_at = :used_at where id = :id and coalesce(used_at, 0) < :used_at
