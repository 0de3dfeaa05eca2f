delete from anzol_endpoint where seq in (
    select e.seq from anzol_endpoint e
     where e.deleted_at is not null and e.deleted_at < :before
       and not exists (select 1 from anzol_lane l where l.endpoint = e.seq)
       and not exists (select 1 from anzol_delivery d where d.endpoint = e.seq)
     limit :most)
