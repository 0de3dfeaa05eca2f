insert into anzol_event_type (environment, name, description, schemas, declared, created_at, updated_at)
values (:environment, :name, :description, :schemas, 1, :now, :now)
on conflict (environment, name) do update
   set description = excluded.description, schemas = excluded.schemas, declared = 1, updated_at = excluded.updated_at
 where description <> excluded.description or schemas is not excluded.schemas or declared = 0
