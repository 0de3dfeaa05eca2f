insert into anzol.worker (host, pid, version, process, started_at, expires_at, term)
values (:host, :pid, :version, :process, :now, :now + :term::bigint, :term::bigint)
returning id, :now as now
