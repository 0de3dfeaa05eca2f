select x.message, x.endpoint from anzol_delivery x where (x.message, x.endpoint) > (:after, :after_endpoint)
-- conditions
 order by x.message, x.endpoint limit :scanned
