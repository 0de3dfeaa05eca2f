delete from anzol_pause_rule where endpoint = :endpoint
