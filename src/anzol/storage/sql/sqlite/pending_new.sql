insert into anzol_pending (id, endpoint, message, due_at, paused, holder) values
(?, ?, ?, ?, ?, ?)
