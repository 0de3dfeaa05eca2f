insert into anzol_sweep (id, environment, kind, customer_id, endpoint, scope, actor, created_at, updated_at)
values (:id, :environment, :kind, :customer_id, :endpoint, :scope, :actor, :now, :now)
