update anzol_endpoint set url = :value where seq = :seq
