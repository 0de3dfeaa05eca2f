insert into anzol_attempt (id, message, endpoint, number, outcome, status, detail, note, manual, started_at, resolve,
                           connect, tls, first_byte, total, response_headers, response_body) values
(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
