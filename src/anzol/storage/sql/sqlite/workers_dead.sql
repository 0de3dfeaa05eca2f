select id, host, pid from anzol_worker where expires_at <= :now or expires_at > :now + 2 * term
