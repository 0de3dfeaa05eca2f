insert or replace into anzol_deployment (id, mark, canary) values (1, :mark, :canary)
