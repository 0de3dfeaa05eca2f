update anzol.judging set after_endpoint = :endpoint, after_pending = :pending where id = :id
