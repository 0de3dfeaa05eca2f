update anzol_endpoint set header_names = :value where seq = :seq
