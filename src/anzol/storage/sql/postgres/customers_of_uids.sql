select id from anzol.customer where environment = :environment and uid = any(:uids::text[]) and deleted_at is null
