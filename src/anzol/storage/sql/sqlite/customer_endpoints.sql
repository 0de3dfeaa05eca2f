select seq from anzol_endpoint where customer_id = :customer_id and deleted_at is null
