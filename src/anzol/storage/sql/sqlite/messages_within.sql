select count(*), min(seq), max(seq)
  from (select seq from anzol_message indexed by anzol_message_id where id >= :first and id < :last limit :most)
