delete from anzol_outbox
