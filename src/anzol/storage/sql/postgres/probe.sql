-- Live workers; since when the first accepted message waits, the first free lane, the lanes of a worker that died.
-- `offset 0`: asked for each worker, by the index.
select (select count(*) from anzol.worker w where w.expires_at > :now and w.expires_at <= :now + 2 * w.term),
       (select m.created_at from anzol.message m
         where m.id = (select o.message_id from anzol.accepted o order by o.id limit 1)),
       (select l.turn_at from anzol.lane l
         where l.holder is null and l.parked = 0 and l.turn_at is not null and l.turn_at <= :now
         order by l.turn_at limit 1),
       (select min(w.expires_at) from anzol.worker w
         where w.expires_at <= :now and exists (select 1 from anzol.lane l where l.holder = w.id offset 0)),
       :now as now
