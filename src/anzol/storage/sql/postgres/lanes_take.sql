-- Free lanes whose turn it is, the longest waiting first; and when the next one of the others is due.
with me as materialized (
    select id from anzol.worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term for key share
),
taken as (
    update anzol.lane set holder = :me, turn_at = null
     where exists (select from me)
       and endpoint_id = any(array(
           select endpoint_id from anzol.lane
            where holder is null and parked = 0 and turn_at <= :now
            order by turn_at limit :most
              for update skip locked))
    returning endpoint_id
)
select array(select endpoint_id from taken),
       (select l.turn_at from anzol.lane l
         where l.holder is null and l.parked = 0 and l.turn_at is not null
           and not exists (select from taken t where t.endpoint_id = l.endpoint_id)
         order by l.turn_at limit 1)
