update anzol.customer set name = :value where id = :id
