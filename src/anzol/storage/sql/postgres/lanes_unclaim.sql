-- What is still claimed in lanes that are given back becomes as it was.
with me as materialized (
    select id from anzol.worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term for key share
),
freed as (
    update anzol.pending set holder = null
     where id = any(array(
           select id from anzol.pending where holder = (select id from me) and endpoint_id = any(:lanes::uuid[])
            order by id + 0 for update)) -- in order, but not by going through all of them in that order
    returning id
)
select exists (select from me), array(select id from freed)
