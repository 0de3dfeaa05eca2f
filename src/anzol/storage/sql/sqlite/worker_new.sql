insert into anzol_worker (id, host, pid, version, started_at, expires_at, term)
values (:me, :host, :pid, :version, :now, :now + :term, :term)
