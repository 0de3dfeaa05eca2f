insert into anzol.outbox_source (digest, url) values (:digest, :url) on conflict (digest) do nothing
