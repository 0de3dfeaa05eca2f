delete from anzol_event_type where environment = :environment and name = :name
