insert or replace into anzol_delivery (message, endpoint, state, cause, attempts, ended_at) values
(?, ?, ?, ?, ?, ?)
