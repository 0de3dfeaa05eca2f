-- Which of the given keys are taken, and by what.
select g.id, k.message_id, k.digest
  from unnest(:ids::uuid[], :environments::text[], :customers::text[], :derived::uuid[], :keys::text[])
       as g (id, environment, customer, derived, key)
  join anzol.message_key k
    on k.key = g.key
   and k.customer_id = coalesce((select c.id from anzol.customer c where c.environment = g.environment and c.uid = g.customer),
                                g.derived)
