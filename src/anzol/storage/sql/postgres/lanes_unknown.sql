-- After a round whose end nobody heard of: whatever was taken or touched is found again by the next look.
with me as materialized (
    select id from anzol.worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term for key share
)
update anzol.lane set turn_at = :now
 where endpoint_id = any(array(
       select endpoint_id from anzol.lane where holder = (select id from me) order by endpoint_id for update))
