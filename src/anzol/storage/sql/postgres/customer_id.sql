select id from anzol.customer where environment = :environment and uid = :uid
