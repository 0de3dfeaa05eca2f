-- Whose deliveries these claims are, of those still held by the worker.
select endpoint_id, message_id from anzol.pending where id = any(:claims::bigint[]) and holder = :me
