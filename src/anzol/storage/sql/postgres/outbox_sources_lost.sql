delete from anzol.outbox_source
