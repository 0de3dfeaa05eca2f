select v.name, t.name, v.name, t.name, t.description, t.schema, t.updated_at
  from anzol_event_type t join anzol_environment v on v.id = t.environment
 where (v.name, t.name) > (:after1, :after2) order by v.name, t.name limit :most
