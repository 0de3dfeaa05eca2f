select body from anzol_message where seq = :seq
