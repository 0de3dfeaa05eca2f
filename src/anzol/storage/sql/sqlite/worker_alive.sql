-- A lease that ends further ahead than two terms is of a clock that was set back: it does not count.
select 1 from anzol_worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term
