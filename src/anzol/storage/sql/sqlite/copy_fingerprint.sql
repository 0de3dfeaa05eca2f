-- Changes when anything is accepted, tried, ended, set or removed.
select (select group_concat(name || ' ' || seq) from (select name, seq from sqlite_sequence order by name)),
       (select mark || hex(canary) from anzol_deployment),
       (select count(*) || ' ' || coalesce(sum(due_at), 0) || ' ' || coalesce(sum(attempt), 0) || ' ' || coalesce(sum(paused), 0) from anzol_pending),
       (select count(*) || ' ' || coalesce(max(ended_at), 0) from anzol_delivery),
       (select count(*) || ' ' || coalesce(sum(unwanted), 0) || ' ' || count(body) from anzol_message),
       (select count(*) from anzol_attempt),
       (select count(*) || ' ' || coalesce(sum(resent), 0) || ' ' || coalesce(sum(cursor), 0) from anzol_accepted),
       (select count(*) || ' ' || coalesce(max(updated_at), 0) || ' ' || coalesce(sum(disabled), 0) from anzol_endpoint),
       (select count(*) || ' ' || coalesce(sum(parked), 0) || ' ' || coalesce(sum(failures), 0) || ' ' || coalesce(sum(turn_at), 0) from anzol_lane),
       (select count(*) || ' ' || coalesce(sum(length(metadata) + length(name)), 0) || ' ' || coalesce(sum(throttle), 0) from anzol_customer),
       (select count(*) || ' ' || coalesce(sum(expires_at), 0) from anzol_endpoint_secret),
       (select count(*) from anzol_message_key), (select count(*) from anzol_pause_rule), (select count(*) from anzol_incident)
