update anzol_endpoint set contact = :value where seq = :seq
