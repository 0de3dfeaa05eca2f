insert into anzol_event_type (environment, name, description, schemas, group_name, archived, deprecated, feature_flags, validation, created_at, updated_at)
values (:environment, :name, :description, :schemas, :group_name, :archived, :deprecated, :feature_flags, :validation, :now, :now)
