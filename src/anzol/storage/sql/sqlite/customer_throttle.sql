update anzol_customer set throttle = :throttle where id = :id and throttle is not :throttle
