insert into anzol.api_key (id, environment, digest, name, hint, scopes, created_at, created_by, expires_at)
values (:id, :environment, :digest, :title, :hint, :scopes::text[], :now, :created_by, :expires_at)
on conflict (digest) do nothing
