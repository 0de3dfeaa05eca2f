select id, value from anzol_endpoint_secret where endpoint = :endpoint
