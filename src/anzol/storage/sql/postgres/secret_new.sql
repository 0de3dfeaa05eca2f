insert into anzol.endpoint_secret (id, endpoint_id, value, created_at) values (:id, :endpoint, :value, :now)
