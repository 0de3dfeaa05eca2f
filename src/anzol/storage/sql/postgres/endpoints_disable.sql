-- Disables endpoints whose lanes the worker holds, once.
with locked as materialized (
    select e.id from anzol.endpoint e
     where e.id = any(:endpoints::uuid[]) and e.disabled is null and e.deleted_at is null
       and exists (select from anzol.lane l where l.endpoint_id = e.id and l.holder = :me)
     order by e.id
       for no key update
)
update anzol.endpoint e
   set disabled = g.because, updated_at = :now
  from unnest(:endpoints::uuid[], :because::smallint[]) as g (id, because)
 where e.id = any(array(select id from locked)) and g.id = e.id and e.disabled is null
returning e.id
