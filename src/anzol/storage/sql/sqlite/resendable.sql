select m.body is null, e.deleted_at is not null,
       coalesce((select d.attempts from anzol_delivery d where d.message = m.seq and d.endpoint = e.seq), 0)
  from anzol_message m join anzol_endpoint e on e.customer_id = m.customer_id
 where m.seq = :message and e.seq = :endpoint
