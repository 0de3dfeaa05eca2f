insert into anzol.audit (environment, at, actor, action, object, customer_id, detail)
values (:environment, :now, :actor, :action, :object, :customer_id, :detail)
