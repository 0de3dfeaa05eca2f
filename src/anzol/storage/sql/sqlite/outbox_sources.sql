select digest, url from anzol_outbox_source order by id
