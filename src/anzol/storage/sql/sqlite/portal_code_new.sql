insert into anzol_portal_code (digest, environment, claims, expires_at) values (:digest, :environment, :claims, :expires_at)
