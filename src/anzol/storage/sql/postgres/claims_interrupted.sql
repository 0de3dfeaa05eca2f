-- Claims of a dead worker, locked before: an attempt each, due again; what was interrupted too often ends, and is told.
with given as (
    select * from unnest(:claims::bigint[], :attempts::uuid[], :messages::uuid[], :endpoints::uuid[], :numbers::int[],
                         :manual::boolean[], :poison::boolean[])
        as g (id, attempt_id, message_id, endpoint_id, number, manual, poison)
),
tried as (
    insert into anzol.attempt (id, message_id, endpoint_id, number, outcome, detail, note, manual, started_at, total,
                               response_headers, response_body)
    select attempt_id, message_id, endpoint_id, number, :outcome, '', :note, manual, :now, 0, '[]', '' from given
),
ended as (
    insert into anzol.delivery (message_id, endpoint_id, state, cause, attempts, ended_at)
    select message_id, endpoint_id, :state, :cause, number, :now from given where poison
    on conflict (message_id, endpoint_id) do update
       set state = excluded.state, cause = excluded.cause, attempts = excluded.attempts, ended_at = excluded.ended_at
),
told as (
    insert into anzol.incident (kind, at, endpoint_id, message_id, detail, announced)
    select :kind, :now, g.endpoint_id, g.message_id, 'interrupted',
           not exists (select from anzol.endpoint e
                    where e.id = g.endpoint_id
                      and exists (select from anzol.operational o
                                   where o.environment = e.environment and o.customer_id <> e.customer_id offset 0))
      from given g where g.poison order by g.id
),
done as (
    delete from anzol.pending where id = any(array(select id from given where poison))
)
update anzol.pending
   set holder = null, due_at = :now, attempt = attempt + 1, interruptions = interruptions + 1, manual = false
 where id = any(array(select id from given where not poison))
