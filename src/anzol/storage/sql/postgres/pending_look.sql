-- Claims what is due in lanes that are held and not parked, the longest due first, as far as each has room; one more than
-- that says that there is more. Of a FIFO lane the first is claimed, if it is due and none is in flight. Rows that
-- somebody changes just now are left: who changes them touches the lane.
with asked as materialized (
    select g.endpoint_id, g.room, e.fifo
      from unnest(:lanes::uuid[], :rooms::int[]) as g (endpoint_id, room)
     cross join lateral ( -- with `offset 0` asked for each, by the index, whatever the planner knows of the tables
           select from anzol.lane l
            where l.endpoint_id = g.endpoint_id and l.holder = :me and l.parked = 0
           offset 0) l
     cross join lateral (select e.fifo from anzol.endpoint e where e.id = g.endpoint_id offset 0) e
),
due as materialized (
    select x.*, row_number() over (partition by a.endpoint_id order by x.due_at, x.id) <= a.room as claimed,
           false as more
      from asked a
     cross join lateral (
           select p.id, p.endpoint_id, p.due_at, p.message_id, p.attempt, p.step, p.manual
             from anzol.pending p
            where p.endpoint_id = a.endpoint_id and p.holder is null and not p.paused and p.due_at <= :now
            order by p.due_at, p.id limit a.room + 1
              for update skip locked) x
     where not a.fifo
    union all
    select x.*,
           a.room > 0 and not exists (select from anzol.pending y where y.holder = :me and y.endpoint_id = a.endpoint_id),
           exists (select from anzol.pending y
                    where y.endpoint_id = a.endpoint_id and y.holder is null and y.id > x.id)
      from asked a
     cross join lateral (
           select p.id, p.endpoint_id, p.due_at, p.message_id, p.attempt, p.step, p.manual
             from anzol.pending p
            where p.id = (select y.id from anzol.pending y
                           where y.endpoint_id = a.endpoint_id and y.holder is null
                           order by y.id limit 1)
              and p.holder is null and not p.paused and p.due_at <= :now
              for update skip locked) x
     where a.fifo
),
me as materialized ( -- locked: who reaps it comes before, or after; only if anything is to be claimed
    select id from anzol.worker
     where id = :me and expires_at > :now and expires_at <= :now + 2 * term and exists (select from due where claimed)
       for key share
),
claimed as (
    update anzol.pending set holder = (select id from me)
     where id = any(array(select id from due where claimed)) and exists (select from me)
)
select claimed and exists (select from me), more, id, endpoint_id, due_at, message_id, attempt, step, manual
  from due order by due_at, id
