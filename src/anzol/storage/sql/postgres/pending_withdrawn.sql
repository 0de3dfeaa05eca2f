-- One page of what waits, whoever held it, into the history.
with gone as (
    delete from anzol.pending where id = any(array(select id from anzol.pending order by id limit :most))
    returning message_id, endpoint_id, attempt
)
insert into anzol.delivery (message_id, endpoint_id, state, cause, attempts, ended_at)
select message_id, endpoint_id, :state, :cause, attempt, :now from gone
on conflict (message_id, endpoint_id) do update
   set state = excluded.state, cause = excluded.cause, attempts = excluded.attempts, ended_at = excluded.ended_at
