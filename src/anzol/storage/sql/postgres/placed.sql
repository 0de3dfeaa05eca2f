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
lanes as ( -- each row once: a lane may be taken, and have something for later; by its place, which stays: it is locked
    update anzol.lane l
       set holder = case when g.taken then :me else l.holder end,
           turn_at = least(case when not g.taken then l.turn_at end, g.due_at)
      from unnest(:lanes::uuid[], :taken::boolean[], :turns::bigint[]) as g (endpoint_id, taken, due_at)
     cross join lateral (select x.ctid from anzol.lane x where x.endpoint_id = g.endpoint_id offset 0) x
     where l.ctid = x.ctid
),
done as (
    delete from anzol.accepted where id = any(:done::bigint[])
)
select c.id, c.endpoint_id, c.message_id, m.event_type, m.method, m.content_type, m.headers, m.query, m.created_at,
       case when octet_length(m.body) > :large::bigint then null else coalesce(m.body, '') end
  from (select *, row_number() over (partition by message_id order by id) as nth from made where holder is not null) c
  left join lateral (select * from anzol.message m where m.id = c.message_id and c.nth = 1 offset 0) m on true
 order by c.id
