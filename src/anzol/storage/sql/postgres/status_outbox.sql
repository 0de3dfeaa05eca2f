select count(*), min(m.created_at) from anzol.accepted o join anzol.message m on m.id = o.message_id
 where m.environment = :environment
