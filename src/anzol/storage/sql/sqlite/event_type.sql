insert into anzol_event_type (environment, name, description, schema, updated_at)
values (:environment, :name, :description, :schema, :now)
on conflict (environment, name) do update
   set description = excluded.description, schema = excluded.schema, updated_at = excluded.updated_at
 where description <> excluded.description or schema <> excluded.schema
