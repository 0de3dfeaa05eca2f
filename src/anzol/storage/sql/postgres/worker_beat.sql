-- A lease that ends further ahead than two terms is of a clock that was set back: it does not count.
update anzol.worker set expires_at = :now + :term::bigint, term = :term::bigint
 where id = :me and expires_at > :now and expires_at <= :now + 2 * term
returning :now as now
