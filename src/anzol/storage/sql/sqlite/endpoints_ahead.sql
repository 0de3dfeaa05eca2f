-- How many endpoints of a customer lie behind a cursor, counted no further than is asked.
with asked (customer_id, cursor) as (values
(?, ?)
)
select json_group_array(json_array(hex(a.customer_id), a.cursor, (
    select count(*) from (select 1 from anzol_endpoint e
                           where e.customer_id = a.customer_id and e.seq > a.cursor and e.deleted_at is null limit ?))))
  from asked a
