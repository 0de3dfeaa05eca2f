insert into anzol_accepted (id, message, customer_id) values
(?, ?, ?)
