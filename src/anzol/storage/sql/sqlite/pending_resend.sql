insert into anzol_pending (id, endpoint, message, due_at, attempt, manual) values
(?, ?, ?, ?, ?, ?)
