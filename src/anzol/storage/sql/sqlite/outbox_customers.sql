-- The next customers that have outbox rows, in order of id: one step of the index for each.
with recursive turn (customer_id) as (
    select min(customer_id) from anzol_accepted where customer_id > :after
    union all
    select (select min(o.customer_id) from anzol_accepted o where o.customer_id > turn.customer_id)
      from turn where turn.customer_id is not null
     limit :limit
)
select json_group_array(hex(customer_id)) from turn where customer_id is not null
