insert into anzol.event_type as t (environment, name, description, schemas, declared, created_at, updated_at)
select :environment, g.name, g.description, g.schemas, true, :now, :now
  from unnest(:names::text[], :descriptions::text[], :schemas::text[]) as g (name, description, schemas)
 order by g.name
on conflict (environment, name) do update
   set description = excluded.description, schemas = excluded.schemas, declared = true, updated_at = excluded.updated_at
 where t.description <> excluded.description or t.schemas is distinct from excluded.schemas or not t.declared
returning t.name
