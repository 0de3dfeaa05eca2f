-- A slot that is free, or as good as free.
insert into anzol_answer (slot, request, lease_until, created_at) values (:slot, :request, :now + :lease, :now)
on conflict (slot) do update
   set request = excluded.request, status = null, body = null, lease_until = excluded.lease_until,
       created_at = excluded.created_at
 where created_at <= :now - :kept or status is null and lease_until <= :now
