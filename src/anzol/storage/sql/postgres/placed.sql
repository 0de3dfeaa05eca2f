-- What fan-out has decided, of lanes that are held or locked: pending rows, in their order; lanes taken, and touched
-- without a condition; the outbox rows that are done. Returned is what was claimed; with the first claim of each message
-- what goes on the wire, null for bodies that are read by themselves.
with made as (
    insert into anzol.pending (endpoint_id, message_id, due_at, paused, holder)
    select g.endpoint_id, g.message_id, g.due_at, g.paused, case when g.claimed then :me::bigint end
      from unnest(:endpoints::uuid[], :messages::uuid[], :dues::bigint[], :paused::boolean[], :claimed::boolean[])
           as g (endpoint_id, message_id, due_at, paused, claimed)
    returning id, endpoint_id, message_id, holder
),
taken as (
    update anzol.lane set holder = :me, turn_at = null where endpoint_id = any(:taken::uuid[])
),
touched as (
    update anzol.lane l set turn_at = least(l.turn_at, g.due_at)
      from unnest(:touched::uuid[], :turns::bigint[]) as g (endpoint_id, due_at)
     where l.endpoint_id = g.endpoint_id and l.endpoint_id = any(:touched)
),
done as (
    delete from anzol.accepted where id = any(:done::bigint[])
)
select c.id, c.endpoint_id, c.message_id, m.event_type, m.method, m.content_type, m.headers, m.query, m.created_at,
       case when octet_length(m.body) > :large::bigint then null else coalesce(m.body, '') end
  from (select *, row_number() over (partition by message_id order by id) as nth from made where holder is not null) c
  left join lateral (select * from anzol.message m where m.id = c.message_id and c.nth = 1 offset 0) m on true
 order by c.id
