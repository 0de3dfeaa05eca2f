select id from anzol.customer where id = :id and uid = :uid and deleted_at is null for update
