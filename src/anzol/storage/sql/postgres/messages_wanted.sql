-- Locked in order before.
with locked as materialized (
    select id from anzol.message where id = any(:messages::uuid[]) and unwanted order by id for no key update
)
update anzol.message set unwanted = false where id = any(array(select id from locked))
