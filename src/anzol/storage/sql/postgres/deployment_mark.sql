insert into anzol.deployment (id, mark, canary) values (1, :mark, :canary)
on conflict (id) do update set mark = excluded.mark, canary = excluded.canary
