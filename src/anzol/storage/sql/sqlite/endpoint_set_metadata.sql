update anzol_endpoint set metadata = :value where seq = :seq
