delete from anzol_portal_code where digest = :digest and expires_at > :now
returning (select e.name from anzol_environment e where e.id = environment), claims
