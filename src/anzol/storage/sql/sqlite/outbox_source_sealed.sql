update anzol_outbox_source set url = :url where digest = :digest
