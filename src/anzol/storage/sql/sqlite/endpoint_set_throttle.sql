update anzol_endpoint set throttle = :value where seq = :seq
