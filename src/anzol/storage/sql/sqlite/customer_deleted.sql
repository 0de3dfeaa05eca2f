update anzol_customer
   set deleted_at = :now, updated_at = :now, name = '', metadata = '{}', throttle = null,
       erase_through = coalesce((select max(seq) from anzol_message), 0)
 where id = :id
