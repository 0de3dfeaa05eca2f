-- How many lanes each live worker holds.
select w.id, (select count(*) from anzol_lane l where l.holder = w.id)
  from anzol_worker w where w.expires_at > :now and w.expires_at <= :now + 2 * w.term
