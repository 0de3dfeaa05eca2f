update anzol.endpoint set disabled = coalesce(disabled, 2), headers = null, header_names = '{}', updated_at = :now
 where deleted_at is null
