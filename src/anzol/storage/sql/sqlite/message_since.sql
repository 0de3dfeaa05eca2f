select seq from anzol_message where id >= :first order by id limit 1
