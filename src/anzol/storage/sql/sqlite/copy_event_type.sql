select v.name, t.name, v.name, t.name, t.description, t.schemas, t.declared, t.group_name, t.archived, t.deprecated,
       t.feature_flags, t.validation, t.created_at, t.updated_at
  from anzol_event_type t join anzol_environment v on v.id = t.environment
 where (v.name, t.name) > (:after1, :after2) order by v.name, t.name limit :most
