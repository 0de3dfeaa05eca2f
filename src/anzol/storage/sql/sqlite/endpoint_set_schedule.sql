update anzol_endpoint set schedule = :value where seq = :seq
