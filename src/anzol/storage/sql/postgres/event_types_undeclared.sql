-- In order, as those that are declared.
with locked as materialized (
    select name from anzol.event_type
     where environment = :environment and declared and name <> all(:names::text[]) order by name for update
)
update anzol.event_type set declared = false, updated_at = :now
 where environment = :environment and name = any(array(select name from locked))
returning name
