update anzol_endpoint set description = :value where seq = :seq
