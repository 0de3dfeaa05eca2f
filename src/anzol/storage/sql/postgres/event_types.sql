-- By code point, as SQLite has it.
select name, description, schemas, declared, group_name, archived, deprecated, to_json(feature_flags), validation, created_at, updated_at, name
  from anzol.event_type
 where environment = :environment and (not archived or :archived::boolean)
   and (:after::text is null or name collate "C" < :after) -- either way
 order by name collate "C" desc limit :most -- either way
