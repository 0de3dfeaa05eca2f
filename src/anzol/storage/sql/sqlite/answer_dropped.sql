delete from anzol_answer where slot = :slot and status is null
