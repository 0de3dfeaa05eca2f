-- What came of a transaction whose end was not heard, and whether any of the attempts is there that it wrote. A number
-- that was not given yet (this transaction takes the next one) is one of a server that is no more.
select case when :xid::bigint::text::xid8 < pg_current_xact_id() then pg_xact_status(:xid::bigint::text::xid8) end,
       exists (select from anzol.attempt where id = any(:attempts::uuid[]))
