select name, description, schemas, declared, group_name, archived, deprecated, feature_flags, validation, created_at, updated_at, name
  from anzol_event_type
 where environment = :environment and (archived = 0 or :archived)
   and (:after is null or name < :after) -- either way
 order by name desc limit :most -- either way
