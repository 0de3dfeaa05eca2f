select m.seq
  from anzol_message_key k join anzol_message m on m.id = k.message_id
 where k.customer_id = :customer_id and k.key = :key and m.environment = :environment
