select seq from anzol_endpoint where id = :id and environment = :environment
