select digest, url from anzol.outbox_source order by id for update
