-- What is not among the given stays.
update anzol.endpoint
   set url = case when 'url' = any(:given::text[]) then :url else url end,
       uid = case when 'uid' = any(:given::text[]) then :uid else uid end,
       description = case when 'description' = any(:given::text[]) then :description else description end,
       event_types = case when 'event_types' = any(:given::text[]) then :event_types else event_types end,
       channels = case when 'channels' = any(:given::text[]) then :channels else channels end,
       header_names = case when 'header_names' = any(:given::text[]) then :header_names else header_names end,
       headers = case when 'headers' = any(:given::text[]) then :headers else headers end,
       throttle = case when 'throttle' = any(:given::text[]) then :throttle else throttle end,
       fifo = case when 'fifo' = any(:given::text[]) then :fifo else fifo end,
       contact = case when 'contact' = any(:given::text[]) then :contact else contact end,
       header_prefix = case when 'header_prefix' = any(:given::text[]) then :header_prefix else header_prefix end,
       schedule = case when 'schedule' = any(:given::text[]) then :schedule else schedule end,
       metadata = case when 'metadata' = any(:given::text[]) then :metadata else metadata end,
       updated_at = :now
 where id = :id
