update anzol.outbox_source set url = :url where digest = :digest
