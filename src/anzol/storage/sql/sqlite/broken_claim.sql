select p.id from anzol_pending p left join anzol_lane l on l.endpoint = p.endpoint
 where p.holder is not null and l.holder is not p.holder
