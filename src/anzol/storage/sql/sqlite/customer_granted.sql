update anzol_customer set granted_until = :until, granted_to = :me where id = :id
