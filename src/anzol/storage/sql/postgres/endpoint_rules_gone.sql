delete from anzol.pause_rule where endpoint_id = any(:endpoints::uuid[])
