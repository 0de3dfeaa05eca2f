select id, host, pid, process, expires_at <= :now or expires_at > :now + 2 * term as expired from anzol.worker
