-- Claims that the worker still holds and that go on: due again then, or as they were; with the attempts that failed.
-- Locked in order before they are written: no deadlock with who changes many.
with me as materialized (
    select id from anzol.worker where id = :me for key share
),
given as (
    select * from unnest(
        :claims::bigint[], :dues::bigint[], :steps::int[], :attempts::uuid[], :outcomes::smallint[],
        :statuses::smallint[], :details::text[], :notes::text[], :starts::bigint[], :resolves::bigint[],
        :connects::bigint[], :handshakes::bigint[], :first_bytes::bigint[], :totals::bigint[], :headers::text[],
        :bodies::bytea[])
      as g (id, due_at, step, attempt_id, outcome, status, detail, note, started_at, resolve, connect, tls,
            first_byte, total, headers, body)
),
held as materialized (
    select id, message_id, endpoint_id, attempt, manual
      from anzol.pending
     where id = any(:claims::bigint[]) and holder = :me and exists (select from me)
     order by id
       for update
),
again as (
    update anzol.pending p
       set holder = null,
           due_at = coalesce(g.due_at, p.due_at),
           step = g.step,
           attempt = p.attempt + (g.attempt_id is not null)::int,
           manual = p.manual and g.attempt_id is null
      from given g
     where p.id = any(array(select id from held)) and p.holder = :me and g.id = p.id
    returning p.id, p.endpoint_id, case when not p.paused then p.due_at end as due_at
),
tried as (
    insert into anzol.attempt (id, message_id, endpoint_id, number, outcome, status, detail, note, manual, started_at,
                               resolve, connect, tls, first_byte, total, response_headers, response_body)
    select g.attempt_id, h.message_id, h.endpoint_id, h.attempt + 1, g.outcome, g.status, g.detail, g.note, h.manual,
           g.started_at, g.resolve, g.connect, g.tls, g.first_byte, g.total, g.headers, g.body
      from held h join given g on g.id = h.id
     where g.attempt_id is not null
)
select id, endpoint_id, due_at from again
