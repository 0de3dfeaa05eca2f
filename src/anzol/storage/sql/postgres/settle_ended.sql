-- Deliveries that ended, of claims that the worker still holds: out of the queue, into the history, with their attempts.
-- Its row is locked first: who reaps the worker comes before all of this, or after.
with me as materialized (
    select id from anzol.worker where id = :me for key share
),
given as (
    select * from unnest(
        :claims::bigint[], :states::smallint[], :causes::smallint[], :attempts::uuid[], :outcomes::smallint[],
        :statuses::smallint[], :details::text[], :notes::text[], :starts::bigint[], :resolves::bigint[],
        :connects::bigint[], :handshakes::bigint[], :first_bytes::bigint[], :totals::bigint[], :headers::text[],
        :bodies::bytea[])
      as g (id, state, cause, attempt_id, outcome, status, detail, note, started_at, resolve, connect, tls,
            first_byte, total, headers, body)
),
done as (
    delete from anzol.pending
     where id = any(:claims::bigint[]) and holder = :me and exists (select from me)
    returning id, message_id, endpoint_id, attempt, manual
),
ended as (
    insert into anzol.delivery (message_id, endpoint_id, state, cause, attempts, ended_at)
    select d.message_id, d.endpoint_id, g.state, g.cause, d.attempt + (g.attempt_id is not null)::int, :now
      from done d join given g on g.id = d.id
    on conflict (message_id, endpoint_id) do update
       set state = excluded.state, cause = excluded.cause, attempts = excluded.attempts, ended_at = excluded.ended_at
),
tried as (
    insert into anzol.attempt (id, message_id, endpoint_id, number, outcome, status, detail, note, manual, started_at,
                               resolve, connect, tls, first_byte, total, response_headers, response_body)
    select g.attempt_id, d.message_id, d.endpoint_id, d.attempt + 1, g.outcome, g.status, g.detail, g.note, d.manual,
           g.started_at, g.resolve, g.connect, g.tls, g.first_byte, g.total, g.headers, g.body
      from done d join given g on g.id = d.id
     where g.attempt_id is not null
)
select array(select id from done)
