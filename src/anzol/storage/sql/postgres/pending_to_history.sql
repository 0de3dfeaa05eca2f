-- Pending deliveries that nobody holds end without an attempt. Locked in order before.
with locked as materialized (
    select id from anzol.pending where id = any(:pending::bigint[]) and holder is null order by id for update
),
gone as (
    delete from anzol.pending where id = any(array(select id from locked))
    returning message_id, endpoint_id, attempt
)
insert into anzol.delivery (message_id, endpoint_id, state, cause, attempts, ended_at)
select message_id, endpoint_id, :state, :cause, attempt, :now from gone
on conflict (message_id, endpoint_id) do update
   set state = excluded.state, cause = excluded.cause, attempts = excluded.attempts, ended_at = excluded.ended_at
returning endpoint_id
