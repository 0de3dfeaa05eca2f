insert into anzol_message (seq, id, environment, customer_id, customer, event_type, method, content_type, headers, query,
                           channels, tags, key, deliver_at, only_endpoint, created_at, body) values
(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
