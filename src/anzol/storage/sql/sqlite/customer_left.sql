-- A uid that another row had: who uses it from now on has a customer of his own. No erase_through: it stays.
insert into anzol_customer (id, environment, uid, created_at, updated_at, deleted_at)
values (:id, :environment, :uid, :now, :now, :now)
