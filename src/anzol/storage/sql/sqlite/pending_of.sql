select id from anzol_pending where message = :message and endpoint = :endpoint
