select coalesce(sum(x.outcome = 0), 0), coalesce(sum(x.outcome <> 0), 0)
  from anzol_attempt x
 where x.endpoint = :endpoint and x.started_at >= :since and x.started_at < :until
