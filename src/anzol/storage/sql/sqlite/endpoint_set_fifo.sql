update anzol_endpoint set fifo = :value where seq = :seq
