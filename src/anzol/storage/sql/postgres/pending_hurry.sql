update anzol.pending set due_at = least(due_at, :now) where id = :id and holder is null
