insert into anzol.event_type as t (environment, name, description, schema, updated_at)
select :environment, g.name, g.description, g.schema, :now
  from unnest(:names::text[], :descriptions::text[], :schemas::text[]) as g (name, description, schema)
 order by g.name
on conflict (environment, name) do update
   set description = excluded.description, schema = excluded.schema, updated_at = excluded.updated_at
 where t.description <> excluded.description or t.schema <> excluded.schema
