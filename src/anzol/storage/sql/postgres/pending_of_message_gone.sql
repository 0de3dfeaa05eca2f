-- All that waits of a message, and what is in flight, into the history: who holds it is fenced off.
with locked as materialized (
    select id from anzol.pending where message_id = :message order by id limit :most for update
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
