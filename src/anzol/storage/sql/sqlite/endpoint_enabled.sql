update anzol_endpoint set disabled = null, enabled_at = :now, updated_at = :now where seq = :seq
