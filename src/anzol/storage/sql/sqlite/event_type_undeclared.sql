update anzol_event_type set declared = 0, updated_at = :now where environment = :environment and name = :name
