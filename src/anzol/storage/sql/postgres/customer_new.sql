-- Of two at once the second finds the first.
insert into anzol.customer (id, environment, uid, created_at) values (:id, :environment, :uid, :now)
on conflict do nothing
returning id
