-- Of two that start at once the second finds the mark of the first.
insert into anzol.deployment (id, mark, canary) values (1, :mark, :canary) on conflict do nothing
