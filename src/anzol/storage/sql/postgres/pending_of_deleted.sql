select p.id
  from anzol.lane l
 cross join lateral (
       select x.id from anzol.pending x where x.endpoint_id = l.endpoint_id and x.holder is null
        order by x.id limit :most) p
 where l.parked >= 4 limit :most
