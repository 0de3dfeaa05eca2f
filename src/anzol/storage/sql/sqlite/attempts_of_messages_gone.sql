delete from anzol_attempt where seq in (
    select a.seq from json_each(:messages) j cross join anzol_attempt a on a.message = j.value limit :most)
