-- Of two at once the second finds the first.
insert into anzol.event_type (environment, name, description, schemas, group_name, archived, deprecated, feature_flags, validation, created_at, updated_at)
values (:environment, :name, :description, :schemas, :group_name, :archived, :deprecated, :feature_flags, :validation, :now, :now)
on conflict do nothing
returning name
