update anzol_endpoint set disabled = :because, updated_at = :now where seq = :endpoint
