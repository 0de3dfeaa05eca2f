select id from anzol.endpoint
 where customer_id = :customer_id and uid = :uid and deleted_at is null and id <> :but
