-- Poison among them has gone to the history before.
update anzol_pending
   set holder = null, due_at = :now, attempt = attempt + 1, interruptions = interruptions + 1, manual = 0
 where endpoint in (select value from json_each(:lanes)) and holder = :me
