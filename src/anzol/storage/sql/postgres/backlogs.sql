-- How many deliveries wait in these lanes, counted no further than is asked.
select g.id, (select count(*) from (select from anzol.pending p where p.endpoint_id = g.id limit :most::bigint) x)
  from unnest(:lanes::uuid[]) as g (id)
