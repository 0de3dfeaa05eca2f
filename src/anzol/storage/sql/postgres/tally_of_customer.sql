-- As tally_of_endpoint, of a customer: of its newest messages, no more deliveries than asked for.
select count(*) filter (where x.state = 0 and not x.held), count(*) filter (where x.held),
       count(*) filter (where x.state = 1), count(*) filter (where x.state = 2), count(*) filter (where x.state = 3)
  from (select d.state, d.held
          from (select n.id, n.environment, n.created_at from anzol.message n
                 where n.customer_id = :customer_id and n.id >= :first and n.id <= :last
                 order by n.id desc limit :most) m
         cross join lateral (
               select 0 as state, p.holder is not null as held from anzol.pending p where p.message_id = m.id
                union all
               select d.state, false from anzol.delivery d where d.message_id = m.id) d
         where m.environment = :environment
-- conditions
         limit :most) x
