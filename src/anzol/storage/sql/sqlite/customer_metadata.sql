update anzol_customer set metadata = :metadata where id = :id
