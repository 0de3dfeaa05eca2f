-- The oldest outbox rows, and whether their customers have rows.
select json_group_array(json_array(o.id, o.message, hex(o.customer_id), o.cursor, c.id is not null))
  from (select * from anzol_accepted order by id limit :limit) o
  left join anzol_customer c on c.id = o.customer_id and c.deleted_at is null
