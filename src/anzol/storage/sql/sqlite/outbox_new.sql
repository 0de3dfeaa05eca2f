insert into anzol_outbox (id, message, customer_id) values
(?, ?, ?)
