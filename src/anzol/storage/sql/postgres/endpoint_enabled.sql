update anzol.endpoint set disabled = null, enabled_at = :now, updated_at = :now where id = :id
