insert into anzol_lane (endpoint, parked) values (:endpoint, :parked)
