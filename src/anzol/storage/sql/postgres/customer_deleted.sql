update anzol.customer
   set deleted_at = :now, updated_at = :now, name = '', metadata = '{}', throttle = null, erase_through = :now
 where id = :customer_id
