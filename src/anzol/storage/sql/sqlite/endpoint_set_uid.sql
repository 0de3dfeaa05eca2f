update anzol_endpoint set uid = :value where seq = :seq
