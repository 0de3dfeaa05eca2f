update anzol_endpoint set headers = :value where seq = :seq
