select name, declared from anzol_event_type where environment = :environment
