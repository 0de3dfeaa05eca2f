insert into anzol_outbox_source (digest, url) values (:digest, :url)
