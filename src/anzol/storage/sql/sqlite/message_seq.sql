select seq from anzol_message where id = :id and environment = :environment
