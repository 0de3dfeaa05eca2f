-- Customers of a first use, or here again: their rows are made here, so that no sender waits for another.
with given as materialized (
    select distinct on (m.customer_id) m.customer_id, m.environment, m.customer
      from anzol.message m where m.id = any(:messages::uuid[]) order by m.customer_id
),
back as (
    update anzol.customer set deleted_at = null, created_at = :now
     where deleted_at is not null and id = any(array(select customer_id from given))
)
insert into anzol.customer (id, environment, uid, created_at, updated_at)
select customer_id, environment, customer, :now, :now from given order by customer_id
on conflict do nothing
