update anzol.endpoint e set headers = g.value
  from unnest(:endpoints::uuid[], :values::bytea[]) as g (id, value) where e.id = g.id
