select x.id from anzol_pending x where x.id > :after and x.holder is null
-- conditions
 order by x.id limit :scanned
