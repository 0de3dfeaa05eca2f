-- Which database of which running server this is, and what its user lacks to write messages. Catalogs only, which every
-- user may read and which are always there: this look never spoils a transaction.
select (select d.oid from pg_catalog.pg_database d where d.datname = current_database())::bigint as database,
       (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint as started,
       s.oid is not null as there,
       array_to_string(array(
           select n.privilege || ' on ' || n.name
             from (values (1, 'select', 'customer'), (2, 'select', 'deployment'), (3, 'select', 'message'),
                          (4, 'select', 'message_key'), (5, 'insert', 'accepted'), (6, 'insert', 'message'),
                          (7, 'insert', 'message_key')) as n (place, privilege, name)
             left join pg_catalog.pg_class c on c.relnamespace = s.oid and c.relname = n.name
            where not coalesce(has_schema_privilege(s.oid, 'usage') and has_table_privilege(c.oid, n.privilege), false)
            order by n.place), ', ') as lacking
  from (select :namespace::text as name) as asked
  left join pg_catalog.pg_namespace s on s.nspname = asked.name
