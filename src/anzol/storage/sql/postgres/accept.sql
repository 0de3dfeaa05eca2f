-- Messages, their outbox rows, and the keys of those that have one. What is not returned was there before, or has a
-- used key: a conflict is never an error, which would spoil the caller's transaction.
with given as (
    select * from unnest(
        :ids::uuid[], :environments::text[], :customers::text[], :derived::uuid[], :event_types::text[],
        :methods::text[], :content_types::text[], :headers::text[], :queries::text[], :channels::text[],
        :tags::text[], :keys::text[], :digests::bytea[], :delays::bigint[], :only::uuid[],
        :times::bigint[], :bodies::bytea[])
      with ordinality as g (id, environment, customer, derived, event_type, method, content_type, headers, query,
                            channels, tags, key, digest, deliver_at, only_endpoint, created_at, body, place)
),
known as (
    select g.*, coalesce((select c.id from anzol.customer c where c.environment = g.environment and c.uid = g.customer),
                         g.derived) as customer_id
      from given g
),
keyed as (
    insert into anzol.message_key (customer_id, key, message_id, digest, created_at)
    select k.customer_id, k.key, k.id, k.digest, coalesce(k.created_at, :now)
      from known k where k.key is not null order by k.customer_id, k.key, k.place -- in order: no deadlock
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
     where k.key is null or k.id in (select message_id from keyed)
     order by k.place
    on conflict (id) do nothing
    returning id, customer_id, created_at
),
waiting as (
    insert into anzol.accepted (message_id, customer_id) select id, customer_id from stored
)
select id, created_at from stored
