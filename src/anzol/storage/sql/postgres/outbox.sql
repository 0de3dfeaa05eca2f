-- Outbox rows for one round of fan-out, locked: the oldest ones; or, if there are too many, some of each customer, whose
-- turns go by id. With each: whether its customer has a row, how many endpoints lie ahead of it (counted no further than
-- a page and one), and where the page ends. `offset 0`: asked for each customer, never of all of them at once.
with recursive me as materialized (
    select id from anzol.worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term for key share
),
first as (
    select a.id, a.message_id, a.customer_id, a.cursor, a.resent
      from anzol.accepted a
     where a.id >= :low and not :fair::boolean and exists (select from me)
     order by a.id limit :most::bigint
       for update skip locked
),
following (customer_id, place) as (
    (select a.customer_id, 1 from anzol.accepted a
      where a.customer_id > :after and a.id >= :low and :fair
      order by a.customer_id, a.id limit 1)
    union all
    (select n.customer_id, f.place + 1
       from following f
      cross join lateral (
            select a.customer_id from anzol.accepted a where a.customer_id > f.customer_id and a.id >= :low
             order by a.customer_id, a.id limit 1) n
      where f.place < :most)
),
around (customer_id, place) as (
    (select a.customer_id, 1 from anzol.accepted a
      where a.customer_id <= :after and a.id >= :low and :fair and (select count(*) from following) < :most
      order by a.customer_id, a.id limit 1)
    union all
    (select n.customer_id, r.place + 1
       from around r
      cross join lateral (
            select a.customer_id from anzol.accepted a
             where a.customer_id > r.customer_id and a.customer_id <= :after and a.id >= :low
             order by a.customer_id, a.id limit 1) n
      where r.place < :most - (select count(*) from following))
),
turns as materialized (
    select customer_id, place from following
    union all
    select customer_id, place + (select count(*) from following) from around
),
fairly as (
    select x.*, t.place
      from turns t
     cross join lateral (
           select a.id, a.message_id, a.customer_id, a.cursor, a.resent
             from anzol.accepted a
            where a.customer_id = t.customer_id and a.id >= :low and exists (select from me)
            order by a.id limit (select greatest(1, :most / count(*)) from turns)
              for update skip locked) x
),
taken as materialized (
    select *, 0::bigint as place from first
    union all
    select * from fairly
),
pages as materialized (
    select g.customer_id, g.start,
           (select count(*) from (select from anzol.endpoint e
                                   where e.customer_id = g.customer_id and e.id > g.start and e.deleted_at is null
                                   limit :page::bigint + 1) x) as ahead,
           (select e.id from anzol.endpoint e
             where e.customer_id = g.customer_id and e.id > g.start and e.deleted_at is null
             order by e.id offset :page - 1 limit 1) as until
      from (select distinct customer_id, coalesce(cursor, '00000000-0000-0000-0000-000000000000') as start from taken) g
)
select t.id, t.message_id, t.customer_id, p.start, t.resent,
       exists (select from anzol.customer c where c.id = t.customer_id and c.deleted_at is null offset 0),
       p.ahead, p.until, t.place,
       case when :fair then (select a.id from anzol.accepted a where a.id >= :low order by a.id limit 1) end,
       (select last_value + 1 from anzol.pending_id_seq),
       :now
  from taken t
  join pages p
    on p.customer_id = t.customer_id and p.start = coalesce(t.cursor, '00000000-0000-0000-0000-000000000000')
 order by t.id
