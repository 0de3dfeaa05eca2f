-- How many messages wait for fan-out, counted no further than a bound; how many are this environment's, and since when
-- the first of them waits.
select count(*), count(*) filter (where m.environment = :environment),
       min(m.created_at) filter (where m.environment = :environment)
  from (select a.message_id from anzol.accepted a order by a.id limit :bound) o
 cross join lateral (select x.environment, x.created_at from anzol.message x where x.id = o.message_id limit 1) m
