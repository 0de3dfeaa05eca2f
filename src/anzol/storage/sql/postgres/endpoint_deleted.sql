-- What the history shows of it stays; what was secret goes.
update anzol.endpoint set deleted_at = :now, updated_at = :now, headers = null where id = any(:endpoints::uuid[])
