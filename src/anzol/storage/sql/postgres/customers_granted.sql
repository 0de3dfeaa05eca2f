update anzol.customer c set granted_until = g.until, granted_to = :me
  from unnest(:customers::uuid[], :untils::bigint[]) as g (id, until)
 where c.id = g.id and c.id = any(:customers)
