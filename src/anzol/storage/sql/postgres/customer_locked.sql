select id from anzol.customer where id = :id and deleted_at is null for update
