select i.id, i.id, i.kind, i.at, e.id, i.message_id, i.detail, i.announced
  from anzol_incident i join anzol_endpoint e on e.seq = i.endpoint
 where i.id > :after1 order by i.id limit :most
