select a.request, a.status, a.body from anzol_answer a where a.slot = :slot
