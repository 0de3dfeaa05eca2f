select id, id, digest, url from anzol_outbox_source where id > :after1 order by id limit :most
