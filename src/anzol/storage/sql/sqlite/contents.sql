-- What goes on the wire; null for bodies that are read by themselves.
select json_group_array(json_array(m.seq, hex(m.id), m.event_type, m.method, m.content_type, json(m.headers), m.query,
       m.created_at, case when length(m.body) > :large then null else hex(coalesce(m.body, x'')) end))
  from json_each(:messages) j cross join anzol_message m on m.seq = j.value
