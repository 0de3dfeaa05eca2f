insert into anzol_message_key (customer_id, key, message_id, digest, created_at) values
(?, ?, ?, ?, ?)
