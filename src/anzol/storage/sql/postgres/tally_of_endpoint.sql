-- How the newest deliveries of an endpoint stand: pending, in flight, and by the states that they ended in.
select count(*) filter (where x.state = 0 and not x.held), count(*) filter (where x.held),
       count(*) filter (where x.state = 1), count(*) filter (where x.state = 2), count(*) filter (where x.state = 3)
  from ((select p.message_id, 0 as state, p.holder is not null as held from anzol.pending p
          where p.endpoint_id = :endpoint
          order by p.id desc limit :most)
        union all
        (select d.message_id, d.state, false from anzol.delivery d
          where d.endpoint_id = :endpoint and d.message_id >= :first and d.message_id <= :last
          order by d.message_id desc limit :most)) x
 where coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
