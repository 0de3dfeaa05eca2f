-- Nobody erases the message meanwhile.
select m.body is null, e.deleted_at is not null
  from anzol.message m join anzol.endpoint e on e.customer_id = m.customer_id
 where m.id = :message and e.id = :endpoint
   for key share of m
