update anzol_endpoint set updated_at = :now where seq = :seq
