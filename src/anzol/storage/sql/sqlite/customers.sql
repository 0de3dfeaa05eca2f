select c.id, c.uid, c.name, c.metadata, c.throttle, c.created_at, c.updated_at, exists (
       select 1 from anzol_pause_rule r
        where r.customer_id = c.id and r.event_type is null and r.endpoint is null),
       c.seq
  from anzol_customer c
 where c.environment = :environment and c.uid <> :hidden and c.deleted_at is null
   and c.seq < :place -- either way
 order by c.seq desc limit :most -- either way
