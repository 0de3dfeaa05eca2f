select a.request, a.status, a.body from anzol.answer a where a.slot = :slot
