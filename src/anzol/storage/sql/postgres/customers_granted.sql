-- By their places, which stay: the rows are locked.
update anzol.customer c set granted_until = g.until, granted_to = :me
  from unnest(:customers::uuid[], :untils::bigint[]) as g (id, until)
 cross join lateral (select x.ctid from anzol.customer x where x.id = g.id offset 0) x
 where c.ctid = x.ctid
