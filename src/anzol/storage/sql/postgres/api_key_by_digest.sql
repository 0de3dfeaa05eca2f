select k.id, k.environment, k.name, k.hint, to_json(k.scopes)::text, k.created_at, k.created_by, k.expires_at, k.revoked_at,
       k.used_at
  from anzol.api_key k
 where k.digest = :digest
