select environment, uid from anzol.customer where id = :id
