select coalesce(sum(x.outcome = 0), 0), coalesce(sum(x.outcome <> 0), 0)
  from anzol_attempt x indexed by anzol_attempt_endpoint
 where x.endpoint = :endpoint and x.seq between :least and :greatest
   and x.started_at >= :since and x.started_at < :until
