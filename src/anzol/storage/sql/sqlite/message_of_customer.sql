select seq from anzol_message where id = :id and environment = :environment and customer_id = :customer_id
