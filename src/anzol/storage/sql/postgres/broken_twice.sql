select p.message_id, p.endpoint_id from anzol.pending p
  join anzol.delivery d on d.message_id = p.message_id and d.endpoint_id = p.endpoint_id
