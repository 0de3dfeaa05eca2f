-- From here on nobody else changes it.
select name, description, schemas, declared, group_name, archived, deprecated, to_json(feature_flags), validation, created_at, updated_at
  from anzol.event_type where environment = :environment and name = :name for update
