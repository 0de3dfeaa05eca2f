insert into anzol.lane (endpoint_id, parked) values (:endpoint, :parked)
