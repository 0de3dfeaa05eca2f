select id, deleted_at from anzol.customer where environment = :environment and uid = :uid for update
