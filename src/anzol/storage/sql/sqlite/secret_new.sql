insert into anzol_endpoint_secret (id, endpoint, value, created_at) values (:id, :endpoint, :value, :now)
