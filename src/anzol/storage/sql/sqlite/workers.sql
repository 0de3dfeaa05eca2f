select w.id, w.host, w.pid, w.version, w.started_at, w.expires_at,
       (select count(*) from anzol_lane l where l.holder = w.id),
       (select count(*) from anzol_lane l join anzol_pending p on p.endpoint = l.endpoint and p.holder = w.id
         where l.holder = w.id)
  from anzol_worker w where w.expires_at > :now and w.expires_at <= :now + 2 * w.term order by w.id
