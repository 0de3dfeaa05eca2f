delete from anzol_endpoint_secret where endpoint = :endpoint
