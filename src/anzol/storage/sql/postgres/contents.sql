-- What goes on the wire; null for bodies that are read by themselves.
select id, event_type, method, content_type, headers, query, created_at,
       case when octet_length(body) > :large::bigint then null else coalesce(body, '') end
  from anzol.message where id = any(:messages::uuid[])
