update anzol.customer set deleted_at = null, created_at = :now, updated_at = :now
 where id = :id and deleted_at is not null returning id
