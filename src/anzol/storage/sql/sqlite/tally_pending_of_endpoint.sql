select coalesce(sum(x.holder is null), 0), coalesce(sum(x.holder is not null), 0)
  from anzol_pending x indexed by anzol_pending_lane
  cross join anzol_message m on m.seq = x.message
 where m.environment = :environment and x.message between :least and :greatest
-- conditions
