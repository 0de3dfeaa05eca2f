update anzol_pending set due_at = min(due_at, :now) where message = :message and endpoint = :endpoint and holder is null
