select id from anzol_outbox_source where digest = :digest
