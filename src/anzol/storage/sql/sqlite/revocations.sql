select r.subject, r.issued_through, r.effective_at
  from json_each(:subjects) j cross join anzol_revocation r on r.environment = :environment and r.subject = j.value
 where r.keep_until >= :now
 order by r.subject, r.effective_at
