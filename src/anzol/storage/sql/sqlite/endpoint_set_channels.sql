update anzol_endpoint set channels = :value where seq = :seq
