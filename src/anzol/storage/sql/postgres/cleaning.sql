-- Of several that would clean one does; the others have nothing to do.
select pg_try_advisory_xact_lock(1634630256, 'anzol.customer'::regclass::oid::integer)
