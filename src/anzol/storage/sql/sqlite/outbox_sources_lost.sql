delete from anzol_outbox_source where :now
