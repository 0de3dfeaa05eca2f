select id, endpoint_id, value from anzol.endpoint_secret where endpoint_id = any(:endpoints::uuid[])
