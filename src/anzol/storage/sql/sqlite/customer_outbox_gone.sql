delete from anzol_outbox where customer_id = :customer_id
