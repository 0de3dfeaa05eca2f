-- As `accept`, for messages that came with a request: each takes its slot, then its key, and is stored if it got both.
-- A slot is a row of nobody's. What is returned but not stored has its slot, but its key was used, or it was there before.
-- `patience`: how long to wait for others, said within the statement: this is the way of most messages, and one trip.
with patience as materialized (
    select set_config('lock_timeout', coalesce(:patience::text, current_setting('lock_timeout')), true)
),
given as (
    select g.* from patience cross join unnest(
        :ids::uuid[], :environments::text[], :customers::text[], :derived::uuid[], :event_types::text[],
        :methods::text[], :content_types::text[], :headers::text[], :queries::text[], :channels::text[],
        :tags::text[], :keys::text[], :digests::bytea[], :delays::bigint[], :only::uuid[],
        :times::bigint[], :bodies::bytea[], :slots::text[], :requests::bytea[])
      with ordinality as g (id, environment, customer, derived, event_type, method, content_type, headers, query,
                            channels, tags, key, digest, deliver_at, only_endpoint, created_at, body, slot, request,
                            place)
),
known as (
    select g.*, coalesce((select c.id from anzol.customer c where c.environment = g.environment and c.uid = g.customer),
                         g.derived) as customer_id
      from given g
),
asked as (
    insert into anzol.message_key (customer_id, key, message_id, digest, created_at)
    select '00000000-0000-0000-0000-000000000000', k.slot, k.id, k.request, :now
      from known k order by k.slot, k.place -- in order: no deadlock
    on conflict do nothing
    returning message_id
),
keyed as (
    insert into anzol.message_key (customer_id, key, message_id, digest, created_at)
    select k.customer_id, k.key, k.id, k.digest, coalesce(k.created_at, :now)
      from known k where k.key is not null and k.id in (select message_id from asked)
     order by k.customer_id, k.key, k.place
    on conflict do nothing
    returning message_id
),
stored as (
    insert into anzol.message (id, environment, customer_id, customer, event_type, method, content_type, headers, query,
                               channels, tags, key, deliver_at, only_endpoint, created_at, body)
    select k.id, k.environment, k.customer_id, k.customer, k.event_type, k.method, k.content_type, k.headers, k.query,
           case when k.channels = '[]' then '{}' else array(select json_array_elements_text(k.channels::json)) end,
           case when k.tags = '[]' then '{}' else array(select json_array_elements_text(k.tags::json)) end,
           k.key, k.deliver_at, k.only_endpoint, coalesce(k.created_at, :now), k.body
      from known k
     where k.id in (select message_id from asked) and (k.key is null or k.id in (select message_id from keyed))
     order by k.place
    on conflict (id) do nothing
    returning id, customer_id, created_at
),
waiting as (
    insert into anzol.accepted (message_id, customer_id) select id, customer_id from stored
)
select a.message_id, s.created_at from asked a left join stored s on s.id = a.message_id
