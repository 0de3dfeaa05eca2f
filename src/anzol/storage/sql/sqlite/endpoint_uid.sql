select id from anzol_endpoint
 where customer_id = :customer_id and uid = :uid and deleted_at is null and seq <> :but
