update anzol_endpoint set event_types = :value where seq = :seq
