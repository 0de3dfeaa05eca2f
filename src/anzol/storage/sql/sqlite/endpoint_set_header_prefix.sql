update anzol_endpoint set header_prefix = :value where seq = :seq
