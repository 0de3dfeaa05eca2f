-- A slot that is free, or as good as free. Of many at once, the others wait for the first, and then find it taken.
insert into anzol.answer as a (slot, request, lease_until, created_at)
values (:slot, :request, :now + :lease::bigint, :now)
on conflict (slot) do update
   set request = excluded.request, status = null, body = null, lease_until = excluded.lease_until,
       created_at = excluded.created_at
 where a.created_at <= :now - :kept::bigint or a.status is null and a.lease_until <= :now
