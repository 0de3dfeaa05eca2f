-- Not at once: a fan-out that began before the endpoint was deleted may still make something pending for it.
delete from anzol.lane where endpoint_id = any(array(
    select l.endpoint_id
      from anzol.lane l join anzol.endpoint e on e.id = l.endpoint_id
     where l.parked >= 4 and l.holder is null and e.deleted_at < :before
       and not exists (select 1 from anzol.pending p where p.endpoint_id = l.endpoint_id offset 0)
     limit :most))
