-- A message for more endpoints than one page goes to the tail with its cursor.
insert into anzol_accepted (id, message, customer_id, resent, cursor)
select :new, o.message, o.customer_id, o.resent, (
    select max(seq) from (select e.seq from anzol_endpoint e
                           where e.customer_id = o.customer_id and e.seq > o.cursor and e.deleted_at is null
                           order by e.seq limit :page))
  from anzol_accepted o where o.id = :id
