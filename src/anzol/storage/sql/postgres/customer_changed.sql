-- What is not among the given stays.
update anzol.customer
   set name = case when 'name' = any(:given::text[]) then :name else name end,
       metadata = case when 'metadata' = any(:given::text[]) then :metadata else metadata end,
       throttle = case when 'throttle' = any(:given::text[]) then :throttle else throttle end,
       updated_at = :now
 where id = :id
