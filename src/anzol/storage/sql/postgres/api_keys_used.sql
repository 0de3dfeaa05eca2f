with locked as (
    select id from anzol.api_key where id = any(:ids::uuid[]) order by id for no key update -- in order: no deadlock
)
update anzol.api_key k set used_at = greatest(k.used_at, g.used_at)
  from locked l join unnest(:ids::uuid[], :times::bigint[]) as g (id, used_at) on g.id = l.id
 where k.id = l.id
