select p.message, p.endpoint from anzol_pending p
  join anzol_delivery d on d.message = p.message and d.endpoint = p.endpoint
