delete from anzol.endpoint where id = any(array(
    select e.id from anzol.endpoint e
     where e.deleted_at is not null and e.deleted_at < :before
       and not exists (select 1 from anzol.lane l where l.endpoint_id = e.id offset 0)
       and not exists (select 1 from anzol.delivery d where d.endpoint_id = e.id offset 0)
     limit :most))
