insert into anzol_environment (name, created_at) values (:name, :now)
