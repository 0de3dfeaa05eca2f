-- How a round begins: is the worker alive (a lease that ends further ahead than two terms is of a clock that was set
-- back, and does not count), which of its lanes were touched, and what waits. Touches are cleared here and lanes looked
-- into by a statement after this one. A lane that somebody is touching just now is left for the next time. Without a
-- touch nothing is locked: a lock would be written, and waited for until it is on the disk.
with touched as (
    update anzol.lane set turn_at = null
     where endpoint_id = any(array(
           select endpoint_id from anzol.lane where holder = :me and turn_at <= :now for update skip locked))
    returning endpoint_id
)
select exists (select from anzol.worker where id = :me and expires_at > :now and expires_at <= :now + 2 * term),
       :now,
       array(select endpoint_id from touched),
       (select min(turn_at) from anzol.lane where holder is null and parked = 0 and turn_at is not null),
       (select min(turn_at) from anzol.lane where holder = :me and turn_at > :now),
       exists (select from anzol.accepted where id >= :low)
