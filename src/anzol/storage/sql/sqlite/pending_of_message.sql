select id, endpoint from anzol_pending where message = :message order by id limit :most
