select url, uid, description, event_types, channels, throttle, fifo, contact, header_prefix, schedule, metadata
  from anzol_endpoint where seq = :seq
