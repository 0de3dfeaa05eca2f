update anzol_worker set expires_at = :now + :term, term = :term
 where id = :me and expires_at > :now and expires_at <= :now + 2 * term
