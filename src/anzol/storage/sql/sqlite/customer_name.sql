update anzol_customer set name = :name where id = :id
