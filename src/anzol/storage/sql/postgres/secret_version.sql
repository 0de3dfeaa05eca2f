select nextval(pg_get_serial_sequence('anzol.endpoint_secret', 'id'))
