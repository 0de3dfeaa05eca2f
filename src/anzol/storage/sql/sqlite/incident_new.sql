insert into anzol_incident (kind, at, endpoint, message_id, detail, announced) values
(?, ?, ?, ?, ?, ?)
