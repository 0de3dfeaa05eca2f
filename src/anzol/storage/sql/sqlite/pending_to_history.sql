insert or replace into anzol_delivery (message, endpoint, state, cause, attempts, ended_at)
select p.message, p.endpoint, :state, :cause, p.attempt, :now
  from json_each(:pending) j cross join anzol_pending p on p.id = j.value
