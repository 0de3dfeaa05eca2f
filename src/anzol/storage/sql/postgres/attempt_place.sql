select m.customer_id from anzol.attempt a join anzol.message m on m.id = a.message_id
 where a.id = :id and m.environment = :environment
