-- Rules that hold back are changed by one alone: who judges by them (fan-out, resend, a new endpoint) is through, or
-- waits until they are committed. The first statement of a transaction, so that all others see what came before.
select pg_advisory_xact_lock(1634630255, 'anzol.pause_rule'::regclass::oid::integer)
