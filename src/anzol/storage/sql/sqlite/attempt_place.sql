select m.customer_id from anzol_attempt a join anzol_message m on m.seq = a.message
 where a.id = :id and m.environment = :environment
