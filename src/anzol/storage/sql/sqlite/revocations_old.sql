delete from anzol_revocation where (environment, subject, effective_at) in (
    select environment, subject, effective_at from anzol_revocation where keep_until < :now order by keep_until limit :most)
