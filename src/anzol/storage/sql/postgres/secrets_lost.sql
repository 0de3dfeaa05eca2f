delete from anzol.endpoint_secret
