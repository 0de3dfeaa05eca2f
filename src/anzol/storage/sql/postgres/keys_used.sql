-- Which of the given keys are taken, and by what. `offset 0`: asked for each of them, by the index, never the whole table.
select g.id, k.message_id, k.digest
  from unnest(:ids::uuid[], :environments::text[], :customers::text[], :derived::uuid[], :keys::text[])
       as g (id, environment, customer, derived, key)
 cross join lateral (
       select coalesce((select c.id from anzol.customer c where c.environment = g.environment and c.uid = g.customer),
                       g.derived) as id
       offset 0) as customer
 cross join lateral (
       select k.message_id, k.digest
         from anzol.message_key k
        where k.customer_id = customer.id and k.key = g.key
       offset 0) as k
