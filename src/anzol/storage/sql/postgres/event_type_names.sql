select name from anzol.event_type where environment = :environment
