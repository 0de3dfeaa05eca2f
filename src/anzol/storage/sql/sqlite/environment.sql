select id from anzol_environment where name = :name
