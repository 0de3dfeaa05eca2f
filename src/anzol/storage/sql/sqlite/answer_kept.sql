update anzol_answer set status = :status, body = :body, created_at = :now where slot = :slot and status is null
