update anzol.endpoint_secret s set value = g.value
  from unnest(:versions::bigint[], :values::bytea[]) as g (id, value) where s.id = g.id
