update anzol.customer set metadata = :metadata where id = :id
