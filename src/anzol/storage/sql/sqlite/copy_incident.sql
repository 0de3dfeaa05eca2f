select i.id, i.id, i.kind, i.at, e.id, i.message_id, i.detail,
       case when i.telling_until = 9223372036854775807 then i.telling_until end, i.announced
  from anzol_incident i join anzol_endpoint e on e.seq = i.endpoint
 where i.id > :after1 order by i.id limit :most
