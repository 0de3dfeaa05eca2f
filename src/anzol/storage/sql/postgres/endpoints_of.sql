-- Deleted ones too: their history is there.
select id from anzol.endpoint e where e.environment = :environment
-- conditions
 limit :most
