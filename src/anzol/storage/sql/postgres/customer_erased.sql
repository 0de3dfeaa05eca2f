update anzol.customer c set erase_through = null
 where c.id = :customer_id and (c.deleted_at is null or :lasting::boolean) and c.erase_through is not null
   and not exists (select 1 from anzol.message m where m.customer_id = c.id and m.created_at <= c.erase_through offset 0)
