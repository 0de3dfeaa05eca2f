-- What was expanded in part goes on by what is there already: the order of endpoints is another one in PostgreSQL.
select o.id, o.id, m.id, o.customer_id, o.resent or o.cursor > 0
  from anzol_accepted o join anzol_message m on m.seq = o.message
 where o.id > :after1 order by o.id limit :most
