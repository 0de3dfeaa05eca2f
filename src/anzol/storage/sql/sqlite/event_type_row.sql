select name, description, schemas, declared, group_name, archived, deprecated, feature_flags, validation, created_at, updated_at
  from anzol_event_type where environment = :environment and name = :name
