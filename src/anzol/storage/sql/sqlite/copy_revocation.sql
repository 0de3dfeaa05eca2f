select v.name, r.subject, r.effective_at, v.name, r.subject, r.issued_through, r.effective_at, r.keep_until
  from anzol_revocation r join anzol_environment v on v.id = r.environment
 where (v.name, r.subject, r.effective_at) > (:after1, :after2, :after3)
 order by v.name, r.subject, r.effective_at limit :most
