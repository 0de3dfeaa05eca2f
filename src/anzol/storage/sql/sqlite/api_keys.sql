select k.id, e.name, k.name, k.hint, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.used_at, k.seq
  from anzol_api_key k join anzol_environment e on e.id = k.environment
 where k.environment = :environment
   and k.seq < :after -- either way
 order by k.seq desc limit :most -- either way
