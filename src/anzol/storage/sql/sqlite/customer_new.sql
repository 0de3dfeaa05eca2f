insert into anzol_customer (id, environment, uid, created_at, updated_at) values (:id, :environment, :uid, :now, :now)
