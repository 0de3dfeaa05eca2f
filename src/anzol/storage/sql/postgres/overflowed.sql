-- Deliveries over the bound of a backlog end before they began; lanes, locked before, that became full are told of.
with ended as (
    insert into anzol.delivery (message_id, endpoint_id, state, cause, attempts, ended_at)
    select g.message_id, g.endpoint_id, :state, :cause, 0, :now
      from unnest(:messages::uuid[], :endpoints::uuid[]) as g (message_id, endpoint_id)
    on conflict (message_id, endpoint_id) do update
       set state = excluded.state, cause = excluded.cause, attempts = excluded.attempts, ended_at = excluded.ended_at
),
lanes as (
    update anzol.lane set "full" = endpoint_id = any(:newly::uuid[])
     where endpoint_id = any(:newly::uuid[]) or endpoint_id = any(:drained::uuid[])
)
insert into anzol.incident (kind, at, endpoint_id, detail, announced)
select :kind, :now, l.endpoint_id, :detail, true from anzol.lane l
 where l.endpoint_id = any(:newly::uuid[]) and (not l."full" or l.endpoint_id = any(:drained::uuid[]))
