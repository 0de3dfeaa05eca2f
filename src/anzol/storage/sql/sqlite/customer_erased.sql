update anzol_customer set erase_through = null
 where id = :id and (deleted_at is null or :lasting) and erase_through is not null
   and not exists (select 1 from anzol_message m where m.customer_id = :id and m.seq <= erase_through)
