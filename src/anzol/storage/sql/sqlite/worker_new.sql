insert into anzol_worker (id, host, pid, version, process, started_at, expires_at, term)
values (:me, :host, :pid, :version, :process, :now, :now + :term, :term)
