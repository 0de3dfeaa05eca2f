-- Of no worker; its lease was never in force, and it is deleted before the commit.
insert into anzol_worker (id, host, pid, version, process, started_at, expires_at, term)
values (:nobody, '', 0, '', '', 0, 0, 1)
