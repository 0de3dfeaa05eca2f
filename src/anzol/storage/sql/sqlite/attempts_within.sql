select count(*), min(seq), max(seq)
  from (select seq from anzol_attempt indexed by anzol_attempt_id where id >= :first and id < :last limit :most)
