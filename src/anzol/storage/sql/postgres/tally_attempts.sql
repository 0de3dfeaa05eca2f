-- How the newest attempts of an endpoint ended: well, and not.
select count(*) filter (where x.outcome = 0), count(*) filter (where x.outcome > 0)
  from (select a.outcome, a.started_at from anzol.attempt a
         where a.endpoint_id = :endpoint and a.id >= :first and a.id <= :last
         order by a.id desc limit :most) x
 where x.started_at >= :since and x.started_at < :until
