-- The transaction's number, by which its end can be asked for if the answer to the commit is lost. None: there is no
-- such worker any more. Its row is locked: who reaps it waits.
select pg_current_xact_id()::text::bigint from anzol.worker where id = :me for key share
