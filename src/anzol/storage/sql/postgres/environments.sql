-- From one name to the next by an index: one step for each, however many rows there are.
with recursive
customers as (
    select min(environment) as name from anzol.customer
    union all
    select (select min(t.environment) from anzol.customer t where t.environment > b.name) from customers b where b.name is not null
),
messages as (
    select min(environment) as name from anzol.message
    union all
    select (select min(t.environment) from anzol.message t where t.environment > b.name) from messages b where b.name is not null
),
event_types as (
    select min(environment) as name from anzol.event_type
    union all
    select (select min(t.environment) from anzol.event_type t where t.environment > b.name) from event_types b where b.name is not null
),
acts as (
    select min(environment) as name from anzol.audit
    union all
    select (select min(t.environment) from anzol.audit t where t.environment > b.name) from acts b where b.name is not null
)
select name
  from (select name from customers union select name from messages union select name from event_types
         union select name from acts union select environment from anzol.api_key) as found
 where name is not null
