insert or replace into anzol_delivery (message, endpoint, state, cause, attempts, ended_at)
select message, endpoint, 3, 5, attempt, :now from anzol_pending
