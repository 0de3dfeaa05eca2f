-- Of two at once the second finds the first.
insert into anzol.customer (id, environment, uid, created_at, updated_at) values (:id, :environment, :uid, :now, :now)
on conflict do nothing
returning id
