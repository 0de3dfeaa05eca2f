-- As status_outbox, in some of the table's pages, taken at random.
select count(*), count(*) filter (where m.environment = :environment)
  from anzol.accepted o tablesample system (:percent)
 cross join lateral (select x.environment from anzol.message x where x.id = o.message_id limit 1) m
