select i.id, i.kind, i.at, coalesce(c.uid, ''), e.id, e.url, e.contact, i.message_id, i.detail
  from (select * from anzol_incident where telling_until is null or telling_until <= :now order by id limit :limit) i
  join anzol_endpoint e on e.seq = i.endpoint
  left join anzol_customer c on c.id = e.customer_id
 order by i.id
