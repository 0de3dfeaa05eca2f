select k.id, e.name, k.name, k.hint, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.used_at
  from anzol_api_key k join anzol_environment e on e.id = k.environment
 where k.digest = :digest
