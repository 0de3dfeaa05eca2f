-- After a round whose end nobody heard of: claims that nobody knows become as they were.
with me as materialized (
    select id from anzol.worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term for key share
)
update anzol.pending set holder = null
 where id = any(array(
       select id from anzol.pending where holder = (select id from me) and id <> all(:known::bigint[])
        order by id + 0 for update)) -- in order, but not by going through all of them in that order
