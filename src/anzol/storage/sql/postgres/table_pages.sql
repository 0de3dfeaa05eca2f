select pg_relation_size(:relation::text::regclass) / current_setting('block_size')::bigint
