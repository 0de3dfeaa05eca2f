-- Of no worker: it is deleted before the commit.
insert into anzol.worker (host, pid, version, process, started_at, expires_at, term)
values ('', 0, '', '', 0, 0, 1)
returning id
