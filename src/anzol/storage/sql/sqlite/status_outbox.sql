select count(*), min(m.created_at) from anzol_accepted o join anzol_message m on m.seq = o.message
 where m.environment = :environment
