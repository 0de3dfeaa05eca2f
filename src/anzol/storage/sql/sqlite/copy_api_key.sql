select k.seq, k.id, k.seq, v.name, k.digest, k.name, k.hint, k.scopes, k.created_at, k.created_by, k.expires_at,
       k.revoked_at, k.used_at
  from anzol_api_key k join anzol_environment v on v.id = k.environment
 where k.seq > :after1 order by k.seq limit :most
