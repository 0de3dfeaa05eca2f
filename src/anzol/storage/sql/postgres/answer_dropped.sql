delete from anzol.answer where slot = :slot and status is null
