-- Customers of a first use, or here again: their rows are made here, so that no sender waits for another. Here again only
-- under the uid that was meant: what is sent while its customer is renamed is nobody else's.
with given as materialized (
    select distinct on (m.customer_id, m.customer) m.customer_id, m.environment, m.customer
      from anzol.message m where m.id = any(:messages::uuid[]) order by m.customer_id, m.customer
),
back as (
    update anzol.customer c set deleted_at = null, created_at = :now, updated_at = :now
      from given g
     where c.deleted_at is not null and c.id = g.customer_id and c.uid = g.customer
)
insert into anzol.customer (id, environment, uid, created_at, updated_at)
select customer_id, environment, customer, :now, :now from given order by customer_id, customer
on conflict do nothing
