update anzol.customer set throttle = :throttle where id = :id and throttle is distinct from :throttle
