delete from anzol.customer where id = :id
