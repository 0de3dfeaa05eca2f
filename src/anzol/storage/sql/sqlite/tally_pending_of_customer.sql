select coalesce(sum(x.holder is null), 0), coalesce(sum(x.holder is not null), 0)
  from anzol_message m indexed by anzol_message_customer
  cross join anzol_pending x indexed by anzol_pending_message on x.message = m.seq
 where m.environment = :environment and m.seq between :least and :greatest
-- conditions
