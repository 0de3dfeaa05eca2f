select id, deleted_at from anzol_customer where environment = :environment and uid = :uid
