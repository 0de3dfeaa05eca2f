select w.id, w.host, w.pid, w.version, w.started_at, w.expires_at,
       (select count(*) from anzol.lane l where l.holder = w.id),
       (select count(*) from anzol.lane l join anzol.pending p on p.endpoint_id = l.endpoint_id and p.holder = w.id
         where l.holder = w.id)
  from anzol.worker w where w.expires_at > :now and w.expires_at <= :now + 2 * w.term order by w.id
