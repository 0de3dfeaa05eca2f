update anzol_event_type
   set description = :description, schemas = :schemas, group_name = :group_name, archived = :archived,
       deprecated = :deprecated, feature_flags = :feature_flags, validation = :validation, updated_at = :now
 where environment = :environment and name = :name
