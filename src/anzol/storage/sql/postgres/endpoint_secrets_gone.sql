delete from anzol.endpoint_secret where endpoint_id = any(:endpoints::uuid[])
