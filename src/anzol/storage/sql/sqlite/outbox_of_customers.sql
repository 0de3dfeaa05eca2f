-- The oldest outbox rows of each of these customers.
with turn (customer_id) as (values
(?)
)
select json_group_array(json_array(o.id, o.message, hex(o.customer_id), o.cursor, c.id is not null))
  from turn
  cross join anzol_accepted o on o.id in (select x.id from anzol_accepted x where x.customer_id = turn.customer_id order by x.id limit ?)
  left join anzol_customer c on c.id = o.customer_id and c.deleted_at is null
