select headers from anzol_endpoint where seq = :seq
