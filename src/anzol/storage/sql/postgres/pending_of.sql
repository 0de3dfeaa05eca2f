select id, holder from anzol.pending where message_id = :message and endpoint_id = :endpoint for update
