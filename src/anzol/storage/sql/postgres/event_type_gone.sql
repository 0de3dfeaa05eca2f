delete from anzol.event_type where environment = :environment and name = :name
