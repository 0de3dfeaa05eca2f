select p.id from anzol.pending p left join anzol.lane l on l.endpoint_id = p.endpoint_id
 where p.holder is not null and l.holder is distinct from p.holder
