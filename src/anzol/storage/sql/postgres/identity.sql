-- What tells this database of Anzol from every other one.
select identity::text from anzol.deployment
