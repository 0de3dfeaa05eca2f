delete from anzol_customer
 where id = :id and deleted_at is not null
   and not exists (select 1 from anzol_message m where m.customer_id = :id and m.seq <= erase_through)
