select r.subject, r.issued_through, r.effective_at
  from anzol.revocation r
 where r.environment = :environment and r.subject = any(:subjects::text[]) and r.keep_until >= :now
 order by r.subject, r.effective_at
